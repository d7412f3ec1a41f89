type ForAny = for<'a> fn(&'a u8) -> usize;
type ForStatic = fn(&'static u8) -> usize;

// What an end weighs by decides what lies in the ring: no other type will do, not even a subtype.
fn weighed_otherwise(
    consumer: highwater::Consumer<u8, ForAny>,
) -> highwater::Consumer<u8, ForStatic> {
    consumer
}

fn main() {}
