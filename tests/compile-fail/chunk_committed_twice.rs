fn main() {
    let (mut producer, _consumer) = highwater::channel(4);
    let mut chunk = producer.try_reserve(2).unwrap();
    chunk.push(String::from("published twice")).unwrap();
    let _ = chunk.commit_first(1);
    let _ = chunk.commit();
}
