fn main() {
    let (mut producer, _consumer) = highwater::channel(4);
    let mut batch = producer.batch();
    let _ = producer.try_write(1);
    let _ = batch.try_write(2);
}
