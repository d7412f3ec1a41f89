struct Liar;

// A ring without weights would be asked for them.
impl highwater::Weigh<u8> for Liar {
    fn weigh(&self, _item: &u8) -> usize {
        7
    }

    const COUNTS_ITEMS: highwater::CountsItems =
        <highwater::Items as highwater::Weigh<u8>>::COUNTS_ITEMS;
}

fn main() {}
