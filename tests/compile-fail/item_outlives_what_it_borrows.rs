fn main() {
    let (mut producer, mut consumer) = highwater::channel(4);
    {
        let text = String::from("gone too early");
        producer.write(text.as_str()).unwrap();
    }
    drop(consumer.read());
}
