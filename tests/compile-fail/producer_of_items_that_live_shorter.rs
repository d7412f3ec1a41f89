use highwater::Producer;

/// The consumer would still read them as if they lived for ever.
fn shortened<'a>(producer: Producer<&'static str>) -> Producer<&'a str> {
    producer
}

fn main() {
    let (producer, _consumer) = highwater::channel("for ever".len());
    let text = String::from("gone too early");
    let _ = shortened(producer).try_write(&text);
}
