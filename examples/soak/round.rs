//! One round: two ends live and die as planned, and then the accounts must balance.

use crate::{
    bytes::{ByteReader, ByteWriter},
    ends::End,
    items::{weight, ItemReader, ItemWriter, Weighing, Weight},
    ledger::{Item, Ledger},
    plan::{Cargo, Host, Kill, Plan},
    side::{lock, ConsumerEnding, Planned, ProducerEnding, Record, Side},
};
use highwater::{Consumer, Monitor, Producer};
use std::{
    any::Any,
    sync::{atomic::Ordering, Arc, Mutex},
    thread,
};
use tokio::{runtime::Runtime, task};

/// What a round came to.
#[derive(Debug, Default)]
pub struct Outcome {
    pub items: u64,
    pub bytes: u64,
    pub sleeps: u64,
    pub drains: u64,
    /// Ends that did not reach the end.
    pub deaths: u64,
    pub lost: u64,
    pub doubled: u64,
    pub faults: Vec<String>,
}

/// What the watchdog looks at, while a round is under way.
#[derive(Default)]
pub struct UnderWay(Mutex<Option<(Plan, Monitor, Arc<Record>)>>);

impl UnderWay {
    /// A number that changes while anything goes.
    pub fn progress(&self) -> u64 {
        match &*lock(&self.0) {
            Some((_, _, record)) => record.accepted() + record.received(),
            None => 0,
        }
    }

    pub fn is_any(&self) -> bool {
        lock(&self.0).is_some()
    }

    pub fn describe(&self) -> String {
        match &*lock(&self.0) {
            Some((plan, monitor, record)) => format!(
                "{plan:#?}\n{monitor:?}, low-water mark {}\n{:?}\n{record:?}\nagain: --repeat {}",
                monitor.low_water_mark(),
                monitor.stats(),
                plan.seed
            ),
            None => "between two rounds".to_owned(),
        }
    }
}

/// Where rounds run, one after another.
pub struct Lane {
    pub ledger: &'static Ledger,
    /// For tasks that share a thread.
    pub one_thread: Runtime,
    /// For those that do not.
    pub threads: Arc<Runtime>,
    pub under_way: Arc<UnderWay>,
}

enum Running {
    Thread(thread::JoinHandle<()>),
    Task(task::JoinHandle<()>),
}

impl Running {
    fn start(end: impl End, host: Host) -> Self {
        match host {
            Host::Thread => Self::Thread(thread::spawn(|| end.run())),
            Host::Task => Self::Task(task::spawn(end.run_async())),
        }
    }

    fn kill(&self) {
        if let Self::Task(task) = self {
            task.abort();
        }
    }

    /// Waits for a task; a thread is left to [`join`](Self::join).
    async fn done(&mut self) -> Result<(), Box<dyn Any + Send>> {
        match self {
            Self::Thread(_) => Ok(()),
            Self::Task(task) => match task.await {
                Err(error) if error.is_panic() => Err(error.into_panic()),
                _ => Ok(()),
            },
        }
    }

    fn join(self) -> Result<(), Box<dyn Any + Send>> {
        match self {
            Self::Thread(thread) => thread.join(),
            Self::Task(_) => Ok(()),
        }
    }
}

impl Lane {
    pub fn round(&self, plan: &Plan) -> Outcome {
        let record = Arc::new(Record::default());
        let producer_side = Side::new(plan.seed ^ 1, &plan.producer, &record);
        let consumer_side = Side::new(plan.seed ^ 2, &plan.consumer, &record);
        let builder = plan.builder();
        const LEGAL: &str = "the numbers do not contradict each other";
        let monitor = match plan.cargo {
            Cargo::Items => {
                let (producer, consumer) = builder.build::<Item>().expect(LEGAL);
                let ends = self.items(producer, consumer, producer_side, consumer_side, plan);
                self.run(plan, &record, ends)
            }
            Cargo::WeighedItems => {
                let builder = builder.weigh_by(weight as Weight);
                let builder = match plan.limit {
                    Some(limit) => builder.limit(limit),
                    None => builder,
                };
                let (producer, consumer) = builder.build::<Item>().expect(LEGAL);
                let ends = self.items(producer, consumer, producer_side, consumer_side, plan);
                self.run(plan, &record, ends)
            }
            Cargo::Bytes => {
                let (producer, consumer) = builder.build::<u8>().expect(LEGAL);
                let monitor = producer.monitor();
                let writer = ByteWriter::new(producer.into(), producer_side, plan);
                let reader = ByteReader::new(consumer.into(), consumer_side, plan);
                self.run(plan, &record, (monitor, writer, reader))
            }
        };
        self.judge(plan, &record, &monitor)
    }

    fn items<W: Weighing>(
        &self,
        producer: Producer<Item, W>,
        consumer: Consumer<Item, W>,
        producer_side: Side,
        consumer_side: Side,
        plan: &Plan,
    ) -> (Monitor, ItemWriter<W>, ItemReader<W>) {
        let monitor = producer.monitor();
        let writer = ItemWriter::new(producer, self.ledger, producer_side, plan);
        let reader = ItemReader::new(consumer, consumer_side, plan);
        (monitor, writer, reader)
    }

    fn run(
        &self,
        plan: &Plan,
        record: &Arc<Record>,
        (monitor, writer, reader): (Monitor, impl End, impl End),
    ) -> Monitor {
        *lock(&self.under_way.0) = Some((plan.clone(), monitor.clone(), record.clone()));
        let runtime = if plan.one_thread {
            &self.one_thread
        } else {
            &*self.threads
        };
        let (producer, consumer, results) = runtime.block_on(async {
            let mut producer = Running::start(writer, plan.producer.host);
            let mut consumer = Running::start(reader, plan.consumer.host);
            if let Some((kill, after)) = plan.kill {
                tokio::time::sleep(after).await;
                match kill {
                    Kill::Producer => producer.kill(),
                    Kill::Consumer => consumer.kill(),
                }
            }
            let results = [producer.done().await, consumer.done().await];
            (producer, consumer, results)
        });
        for result in results
            .into_iter()
            .chain([producer.join(), consumer.join()])
        {
            if let Err(payload) = result {
                if !payload.is::<Planned>() {
                    record.fault(format!("an end panicked: {}", message(&*payload)));
                }
            }
        }
        *lock(&self.under_way.0) = None;
        monitor
    }

    fn judge(&self, plan: &Plan, record: &Record, monitor: &Monitor) -> Outcome {
        let stats = monitor.stats();
        let (accepted, received) = (record.accepted(), record.received());
        let producer = lock(&record.producer).take();
        let consumer = lock(&record.consumer).take();
        let closed = record.closed.load(Ordering::Relaxed);
        let mut faults = std::mem::take(&mut *lock(&record.faults));
        let mut must = |is_so: bool, what: &str| {
            if !is_so {
                faults.push(format!(
                    "{what}: {accepted} written, {received} read; the producer: {producer:?}, the consumer: {consumer:?}, closed: {closed}; {stats:?}"
                ));
            }
        };

        must(
            stats.items_written as u64 == accepted,
            "the count of what was written is wrong",
        );
        must(
            stats.items_read as u64 == received,
            "the count of what was read is wrong",
        );
        must(
            stats.drains <= stats.times_told_to_stop,
            "there are more drains than stops",
        );
        let (mut lost, mut doubled) = (0, received.saturating_sub(accepted));
        if matches!(
            consumer,
            Some(ConsumerEnding::SawEnd | ConsumerEnding::SawAbandonment)
        ) || matches!(producer, Some(ProducerEnding::Finished))
        {
            lost += accepted.saturating_sub(received);
        }
        let consumer_left = matches!(consumer, None | Some(ConsumerEnding::Cancelled));
        match &consumer {
            Some(ConsumerEnding::SawEnd) => must(
                closed
                    || matches!(
                        producer,
                        Some(ProducerEnding::Ended | ProducerEnding::Finished)
                    ),
                "an end that nobody made",
            ),
            Some(ConsumerEnding::SawAbandonment) => {
                must(producer.is_none(), "an abandonment that was none");
            }
            Some(ConsumerEnding::SawAbort(reason)) => must(
                matches!(producer, Some(ProducerEnding::Aborted))
                    && reason.to_string() == "as planned",
                "an abort that nobody made",
            ),
            Some(ConsumerEnding::Cancelled) | None => {}
        }
        match &producer {
            Some(ProducerEnding::Refused(reason)) => {
                must(closed || consumer_left, "a refusal without reason");
                must(
                    closed || reason.is_some() == consumer.is_some(),
                    "the reason of a cancel is lost, or made up",
                );
            }
            Some(ProducerEnding::FinishRefused) => must(consumer_left, "a finish that was refused"),
            _ => {}
        }
        let drops = self.ledger.close();
        must(drops.never_dropped == 0, "items were never dropped");
        must(
            drops.dropped_again == 0,
            "items were dropped more than once",
        );
        lost += drops.never_dropped as u64;
        doubled += drops.dropped_again as u64;
        must(lost == 0, "something is lost");
        must(doubled == 0, "something came twice");

        let is_clean = matches!(
            producer,
            Some(ProducerEnding::Ended | ProducerEnding::Finished)
        );
        let is_bytes = plan.cargo == Cargo::Bytes;
        Outcome {
            items: if is_bytes { 0 } else { received },
            bytes: if is_bytes { received } else { 0 },
            sleeps: (stats.producer_parks + stats.consumer_parks) as u64,
            drains: stats.drains as u64,
            deaths: u64::from(!is_clean) + u64::from(consumer_left),
            lost,
            doubled,
            faults,
        }
    }
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("(no message)")
}
