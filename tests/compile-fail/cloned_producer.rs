fn main() {
    let (producer, _consumer) = highwater::channel::<u8>(4);
    let _second = producer.clone();
}
