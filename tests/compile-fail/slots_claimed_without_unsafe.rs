fn main() {
    let (mut producer, _consumer) = highwater::channel::<String>(4);
    let mut chunk = producer.try_reserve(1).unwrap();
    chunk.assume_init(1);
    let _ = chunk.commit();
}
