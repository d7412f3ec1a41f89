//! Random operations of all kinds, mixed, against a plain model: a queue and the rules of flow control.
//!
//! `PROPTEST_CASES=100000 cargo test --release --test operations` tries more of them; and the fuzzer of `fuzz/`
//! looks for them.
#![cfg(feature = "std")]

mod common;
#[allow(dead_code)] // part of it is the fuzzer's
#[path = "fuzz_model/items.rs"]
mod model;

use model::{Case, Finale, Op, Settings};
use proptest::prelude::*;

fn op() -> impl Strategy<Value = Op> {
    let n = || 0_usize..9;
    prop_oneof![
        4 => Just(Op::Write),
        4 => (n(), any::<bool>(), n(), proptest::option::weighted(0.95, n())).prop_map(
            |(slots, up_to, fill, commit)| Op::Reserve { slots, up_to, fill, commit }
        ),
        3 => (proptest::collection::vec(any::<bool>(), 0..6), proptest::bool::weighted(0.05))
            .prop_map(|(writes, forgotten)| Op::Batch { writes, forgotten }),
        2 => n().prop_map(Op::WriteSlice),
        4 => Just(Op::Read),
        1 => Just(Op::Peek),
        4 => (n(), any::<bool>(), n())
            .prop_map(|(items, up_to, consume)| Op::Chunk { items, up_to, consume }),
        3 => (n(), n(), proptest::bool::weighted(0.05))
            .prop_map(|(items, take, forgotten)| Op::Iterate { items, take, forgotten }),
        2 => n().prop_map(Op::ReadSlice),
        2 => Just(Op::Ask),
        1 => n().prop_map(Op::SetHigh),
        1 => n().prop_map(Op::SetLow),
        1 => any::<(bool, bool)>()
            .prop_map(|(on_drain, on_ready)| Op::Listen { on_drain, on_ready }),
        1 => Just(Op::PollReady),
        1 => Just(Op::PollRead),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    let index = prop_oneof![
        Just(0),
        (0_usize..20).prop_map(|before| 0_usize.wrapping_sub(before))
    ];
    (1_usize..9, any::<bool>(), index).prop_flat_map(|(capacity, full_fences, first_index)| {
        (0..=capacity).prop_flat_map(move |high| {
            proptest::option::of(0..=high).prop_map(move |low| Settings {
                capacity,
                high,
                low,
                full_fences,
                first_index,
            })
        })
    })
}

fn finale() -> impl Strategy<Value = Finale> {
    prop_oneof![
        Just(Finale::End),
        Just(Finale::EndUnread),
        Just(Finale::DropProducer),
        Just(Finale::Abort),
        Just(Finale::Close),
        Just(Finale::Cancel),
        Just(Finale::DropConsumer),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    proptest::collection::vec(op(), 0..60)
}

fn case<'a>(settings: &'a Settings, ops: &'a [Op], finale: Finale) -> Case<'a> {
    Case {
        settings,
        ops,
        finale,
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 5 } else if cfg!(debug_assertions) { 2_000 } else { 10_000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn bytes_behave_as_the_rules_say(settings in settings(), ops in ops(), end in finale()) {
        case(&settings, &ops, end).of_bytes();
    }

    #[test]
    fn words_behave_as_the_rules_say(settings in settings(), ops in ops(), end in finale()) {
        case(&settings, &ops, end).of_words();
    }

    #[test]
    fn strings_behave_as_the_rules_say(settings in settings(), ops in ops(), end in finale()) {
        case(&settings, &ops, end).of_strings();
    }

    #[test]
    fn each_item_is_dropped_once(settings in settings(), ops in ops(), end in finale()) {
        case(&settings, &ops, end).of_counted();
    }

    #[test]
    fn each_item_is_dropped_once_though_some_drops_panic(
        settings in settings(),
        ops in ops(),
        end in finale(),
        every in 2_u64..8,
    ) {
        case(&settings, &ops, end).of_panicking(every);
    }

    #[test]
    fn weights_behave_as_the_rules_say(
        settings in settings(),
        ops in ops(),
        end in finale(),
        limit in 1_usize..30,
        weights in proptest::collection::vec(0_usize..12, 1..8),
    ) {
        case(&settings, &ops, end).of_weighed(limit, &weights);
    }
}
