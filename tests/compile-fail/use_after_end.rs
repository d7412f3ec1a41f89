fn main() {
    let (mut producer, _consumer) = highwater::channel(4);
    producer.end();
    let _ = producer.try_write(1);
}
