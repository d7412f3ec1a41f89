//! How long it takes to be heard.

use super::{contestant, contestant_of, each};
use crate::{
    contestants::{
        blocking, polling,
        raw::{self, atomic_waker},
        tasks::{self, MixedChannel, TaskReceive, TaskSend},
        Channel, Receive1, Send1,
    },
    harness::{child::DEADLINE, Better, Case, Contestant, Disturbance, Effort, Figure, Workload},
    race::race_ends,
};
use std::{
    hint::spin_loop,
    sync::OnceLock,
    time::{Duration, Instant},
};

/// More than the one item that is under way.
const CAPACITY: usize = 64;
/// The last number that is sent.
const LAST: u64 = u64::MAX - 1;

pub fn spin() -> Workload {
    use polling::*;
    Workload {
        name: "latency/spin",
        about: "A number from one pinned thread to another and back; both spin.",
        figures: &[Figure {
            name: "ns for a round trip",
            better: Better::Less,
        }],
        cases: vec![Case {
            name: "thread to thread".to_owned(),
            disturbance: Disturbance::InvoluntarySwitches,
            contestants: each!(spinner(()):
                Highwater, Rtrb, Ringbuf, Nexus, Heapless, Gil, Fq, Omango, raw::Flag),
        }],
        deadline: DEADLINE,
    }
}

fn spinner<C: Channel>((): ()) -> Contestant {
    contestant(C::NAME, |effort| {
        round_trips(
            C::new(CAPACITY),
            C::new(CAPACITY),
            |_, elapsed| elapsed >= effort.target,
            || || {},
        ) * 1e9
    })
}

/// The mean time of a round trip in seconds, of as many thousands as are enough; each side pauses before it
/// sends.
pub fn round_trips<P: FnMut() + Send>(
    (ask, mut hear): (impl Send1<u64> + 'static, impl Receive1<u64> + 'static),
    (mut answer, learn): (impl Send1<u64> + 'static, impl Receive1<u64> + 'static),
    is_enough: impl Fn(u64, Duration) -> bool + Send,
    pause: impl Fn() -> P,
) -> f64 {
    let mut pause_before_answer = pause();
    race_ends(
        move || {
            loop {
                let number = hear.receive();
                pause_before_answer();
                answer.send(number);
                if number == LAST {
                    break;
                }
            }
            (hear, answer)
        },
        ask_again_and_again(ask, learn, is_enough, pause()),
    )
}

/// The same, where the answer comes from a task.
pub fn round_trips_with_task<P: FnMut() + Send>(
    (ask, mut hear): (impl Send1<u64> + 'static, impl TaskReceive + 'static),
    (mut answer, learn): (impl TaskSend + 'static, impl Receive1<u64> + 'static),
    is_enough: impl Fn(u64, Duration) -> bool + Send,
    pause: impl Fn() -> P,
) -> f64 {
    let mut pause_before_answer = pause();
    race_ends(
        move || {
            runtime().block_on(async {
                loop {
                    let number = hear.receive().await;
                    pause_before_answer();
                    answer.send(number).await;
                    if number == LAST {
                        break;
                    }
                }
            });
            (hear, answer)
        },
        ask_again_and_again(ask, learn, is_enough, pause()),
    )
}

fn ask_again_and_again<S: Send1<u64>, R: Receive1<u64>>(
    mut ask: S,
    mut learn: R,
    is_enough: impl Fn(u64, Duration) -> bool + Send,
    mut pause: impl FnMut() + Send,
) -> impl FnOnce() -> (f64, (S, R)) + Send {
    const AT_ONCE: u64 = 1000;
    move || {
        let mut trip = |number| {
            pause();
            ask.send(number);
            assert_eq!(learn.receive(), number, "a number was lost or changed");
        };
        (0..AT_ONCE).for_each(&mut trip); // warms up
        let (begin, mut trips) = (Instant::now(), 0);
        let elapsed = loop {
            (trips..trips + AT_ONCE).for_each(&mut trip);
            trips += AT_ONCE;
            let elapsed = begin.elapsed();
            if is_enough(trips, elapsed) {
                break elapsed;
            }
        };
        trip(LAST);
        (elapsed.as_secs_f64() / trips as f64, (ask, learn))
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all() // as `#[tokio::main]` does
        .build()
        .expect("a runtime")
}

pub fn wake() -> Workload {
    let case = |name: &str, contestants| Case {
        name: name.to_owned(),
        disturbance: Disturbance::InvoluntarySwitches,
        contestants,
    };
    let threads = {
        use blocking::*;
        each!(waker(()):
            Highwater, HighwaterFullFences, Std, Crossbeam, Kanal, Omango, Nexus, raw::Park, raw::EventFd)
    };
    let mut to_task = {
        use tasks::*;
        each!(task_waker(()): Highwater, Tokio, AsyncChannel, Flume, Kanal, Crossfire)
    };
    to_task.push(wake_contestant("limit: AtomicWaker", |effort| {
        let (ask, hear) = atomic_waker();
        let (answer, learn) = raw::Park::new::<u64>(1);
        wake_task(effort, (ask, hear), (answer, learn))
    }));
    let to_epoll = vec![
        wake_contestant(raw::HighwaterInEpoll::NAME, |effort| {
            wake_thread(
                effort,
                raw::HighwaterInEpoll::new(CAPACITY),
                blocking::Highwater::new(CAPACITY),
            )
        }),
        wake_contestant(raw::EventFdInEpoll::NAME, |effort| {
            wake_thread(
                effort,
                raw::EventFdInEpoll::new::<u64>(1),
                raw::EventFd::new::<u64>(1),
            )
        }),
    ];
    Workload {
        name: "latency/wake",
        about: "A number from a thread to whoever waits for it on another processor, and back to the thread; \
                each of the two sleeps when it is woken, which is made sure of.",
        figures: &[
            Figure {
                name: "µs for two wake-ups, median",
                better: Better::Less,
            },
            Figure {
                name: "99th percentile",
                better: Better::Less,
            },
        ],
        cases: vec![
            case("thread to thread", threads),
            case("thread to task (tokio)", to_task),
            case("thread to epoll", to_epoll),
        ],
        deadline: DEADLINE,
    }
}

fn wake_contestant(name: &str, run: fn(Effort) -> Vec<Duration>) -> Contestant {
    contestant_of(name, move |effort| {
        let mut trips = run(effort);
        trips.sort();
        let part = |share: f64| trips[((trips.len() - 1) as f64 * share) as usize];
        [0.5, 0.99]
            .map(|share| part(share).as_secs_f64() * 1e6)
            .to_vec()
    })
}

fn waker<C: Channel>((): ()) -> Contestant {
    wake_contestant(C::NAME, |effort| {
        wake_thread(effort, C::new(CAPACITY), C::new(CAPACITY))
    })
}

fn task_waker<C: MixedChannel>((): ()) -> Contestant {
    wake_contestant(C::NAME, |effort| {
        wake_task(effort, C::to_task(CAPACITY), C::to_thread(CAPACITY))
    })
}

/// The time of both wake-ups of each round trip, between two threads.
fn wake_thread(
    effort: Effort,
    (ask, mut hear): (impl Send1<u64> + 'static, impl Receive1<u64> + 'static),
    (mut answer, learn): (impl Send1<u64> + 'static, impl Receive1<u64> + 'static),
) -> Vec<Duration> {
    let sleepers = &Sleepers::new();
    time_wake_ups(
        effort,
        sleepers,
        move |trips| {
            let woken = (0..trips).map(|_| {
                let woken_after = sleepers.since(hear.receive());
                Sleepers::await_sleep(&sleepers.asker);
                answer.send(sleepers.now());
                woken_after
            });
            woken.collect()
        },
        ask,
        learn,
    )
}

/// The same, where the answer comes from a task.
fn wake_task(
    effort: Effort,
    (ask, mut hear): (impl Send1<u64> + 'static, impl TaskReceive + 'static),
    (mut answer, learn): (impl TaskSend + 'static, impl Receive1<u64> + 'static),
) -> Vec<Duration> {
    let sleepers = &Sleepers::new();
    time_wake_ups(
        effort,
        sleepers,
        move |trips| {
            runtime().block_on(async {
                let mut woken = Vec::new();
                for _ in 0..trips {
                    woken.push(sleepers.since(hear.receive().await));
                    Sleepers::await_sleep(&sleepers.asker);
                    answer.send(sleepers.now()).await;
                }
                woken
            })
        },
        ask,
        learn,
    )
}

fn time_wake_ups(
    effort: Effort,
    sleepers: &Sleepers,
    answer: impl FnOnce(usize) -> Vec<Duration> + Send,
    mut ask: impl Send1<u64>,
    mut learn: impl Receive1<u64>,
) -> Vec<Duration> {
    const WARM_UP: usize = 20;
    // Each takes some 200 microseconds, most of it to make sure of the sleep.
    let trips = WARM_UP + effort.share(2000) as usize;
    let (heard, learned) = std::thread::scope(|scope| {
        let answering = scope.spawn(|| {
            crate::race::pin(1);
            Sleepers::arrive(&sleepers.answerer);
            answer(trips)
        });
        let asking = scope.spawn(move || {
            crate::race::pin(0);
            Sleepers::arrive(&sleepers.asker);
            let learned = (0..trips).map(|_| {
                Sleepers::await_sleep(&sleepers.answerer);
                ask.send(sleepers.now());
                sleepers.since(learn.receive())
            });
            learned.collect::<Vec<_>>()
        });
        (
            answering.join().expect("no panic"),
            asking.join().expect("no panic"),
        )
    });
    let trips = heard.iter().zip(&learned).skip(WARM_UP);
    trips.map(|(there, back)| *there + *back).collect()
}

/// Two threads that wake each other.
struct Sleepers {
    begin: Instant,
    asker: OnceLock<i32>,
    answerer: OnceLock<i32>,
}

impl Sleepers {
    fn new() -> Self {
        Self {
            begin: Instant::now(),
            asker: OnceLock::new(),
            answerer: OnceLock::new(),
        }
    }

    fn arrive(place: &OnceLock<i32>) {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        place.set(thread).expect("everybody arrives once");
    }

    /// Waits until a thread sleeps, says the kernel, and a little longer.
    ///
    /// # Panics
    ///
    /// If it does not.
    fn await_sleep(place: &OnceLock<i32>) {
        let begin = Instant::now();
        loop {
            let pause = Instant::now();
            while pause.elapsed() < Duration::from_micros(50) {
                spin_loop();
            }
            let thread = *place.wait();
            let stat = procfs::process::Process::myself()
                .and_then(|process| process.task_from_tid(thread)?.stat())
                .expect("/proc says how a thread is");
            if stat.state == 'S' {
                return;
            }
            assert!(
                begin.elapsed() < Duration::from_secs(2),
                "it does not sleep"
            );
        }
    }

    /// A point in time as a number.
    fn now(&self) -> u64 {
        self.begin.elapsed().as_nanos() as u64
    }

    fn since(&self, then: u64) -> Duration {
        Duration::from_nanos(self.now().saturating_sub(then))
    }
}
