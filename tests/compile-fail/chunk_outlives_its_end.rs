fn main() {
    let (mut producer, mut consumer) = highwater::channel(4);
    producer.write(String::from("freed")).unwrap();
    let chunk = consumer.try_chunk_up_to(1).unwrap();
    std::thread::spawn(move || drop(consumer));
    println!("{chunk:?}");
}
