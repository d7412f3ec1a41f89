struct Guard<'a>(&'a String);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        println!("{}", self.0);
    }
}

fn main() {
    // Locals are dropped in the reverse order: the channel drops the guard after its text is gone.
    let (mut producer, _consumer) = highwater::channel(4);
    let text = String::from("gone too early");
    let _ = producer.try_write(Guard(&text));
}
