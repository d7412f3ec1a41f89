#![deny(unused_must_use)]

fn main() -> Result<(), highwater::TryWriteError<u8>> {
    let (mut producer, _consumer) = highwater::channel(4);
    producer.try_write(1)?;
    Ok(())
}
