fn main() {
    let (mut producer, mut consumer) = highwater::channel(4);
    producer.write(String::from("freed")).unwrap();
    let peeked = consumer.peek();
    drop(consumer.read());
    println!("{peeked:?}");
}
