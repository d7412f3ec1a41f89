fn main() {
    let (_producer, consumer) = highwater::channel::<u8>(4);
    std::thread::scope(|scope| {
        scope.spawn(|| consumer.len());
        scope.spawn(|| consumer.len());
    });
}
