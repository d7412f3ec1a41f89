fn main() {
    let (producer, _consumer) = highwater::channel::<u8>(4);
    std::thread::scope(|scope| {
        scope.spawn(|| producer.len());
        scope.spawn(|| producer.len());
    });
}
