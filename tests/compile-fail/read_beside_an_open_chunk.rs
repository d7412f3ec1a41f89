fn main() {
    let (mut producer, mut consumer) = highwater::channel(4);
    producer.write(String::from("taken twice")).unwrap();
    let chunk = consumer.try_chunk_up_to(1).unwrap();
    drop(consumer.read());
    drop(chunk);
}
