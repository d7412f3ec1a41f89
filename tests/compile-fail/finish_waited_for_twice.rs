fn main() {
    let (producer, _consumer) = highwater::channel::<u8>(4);
    let finish = producer.end();
    finish.wait().unwrap();
    finish.wait().unwrap();
}
