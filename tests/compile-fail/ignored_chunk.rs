#![deny(unused_must_use)]

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut producer, mut consumer) = highwater::channel::<u8>(4);
    producer.try_reserve(2)?;
    consumer.try_chunk_up_to(2)?;
    Ok(())
}
