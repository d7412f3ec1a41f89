use std::io::{BufRead, Read};

fn main() {
    let (_producer, mut consumer) = highwater::bytes(4);
    let lent = consumer.fill_buf().unwrap();
    consumer.read(&mut [0; 4]).unwrap();
    println!("{lent:?}");
}
