use std::rc::Rc;

fn main() {
    let (mut producer, mut consumer) = highwater::channel(4);
    producer.write(Rc::new(1)).unwrap();
    std::thread::spawn(move || drop(consumer.read()));
}
