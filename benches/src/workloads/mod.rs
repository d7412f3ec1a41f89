//! What is measured.

mod bursts;
mod bytes;
mod items;
mod latency;
mod lost;
mod many;
mod sizes;
mod slices;
mod slow;
mod tasks;

use crate::harness::{Contestant, Effort, Role, Workload};

/// All workloads, in the order in which they run.
pub fn all() -> Vec<Workload> {
    vec![
        items::polling(),
        items::blocking(),
        tasks::items(),
        tasks::bytes(),
        latency::wake(),
        latency::spin(),
        slices::slices(),
        bytes::bytes(),
        slow::slow(),
        lost::lost(),
        bursts::bursts(),
        sizes::polling(),
        sizes::blocking(),
        many::many(),
        many::busy(),
        many::memory(),
    ]
}

/// What a name says of its bearer.
fn role(name: &str) -> Role {
    if name.starts_with("highwater") {
        Role::Ours
    } else if name.starts_with("limit") || name.starts_with("reference") {
        Role::Limit
    } else {
        Role::Peer
    }
}

/// A contestant that has one figure.
fn contestant(name: &str, run: impl Fn(Effort) -> f64 + 'static) -> Contestant {
    contestant_of(name, move |effort| vec![run(effort)])
}

fn contestant_of(name: &str, run: impl Fn(Effort) -> Vec<f64> + 'static) -> Contestant {
    Contestant {
        name: name.to_owned(),
        role: role(name),
        run: Box::new(run),
    }
}

/// One contestant for each type of channel.
macro_rules! each {
    ($make:ident($argument:expr): $($channel:ty),* $(,)?) => {
        vec![$($make::<$channel>($argument)),*]
    };
}
use each;
