fn main() {
    let (mut producer, _consumer) = highwater::channel(4);
    let mut chunk = producer.try_reserve(1).unwrap();
    let _ = producer.try_write(String::from("overwritten"));
    let _ = chunk.push(String::from("the same slot"));
}
