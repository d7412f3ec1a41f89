//! Replays what a real Node 20 `Writable` did against the channel, operation by operation.
//!
//! `node-traces/public.jsonl` was recorded by a seeded-random recorder: each line is an operation and
//! what was seen after it. With a low-water mark of 0 and enough capacity the channel must give the
//! same answers. Items carry the ordinal of their write, and in byte mode weigh their size; an empty
//! write is an item of weight 0, as it is a chunk of its own in Node.
//!
//! A cork is a batch. It holds back what is written after it; Node holds back what it has queued before
//! it, too, so that a `consume` for which Node had nothing is not played while corked.
//!
//! Cut short, and counted: at a write or a cork after the end (the end gives up the producer, so that
//! there is nothing to write with), and at a `destroy`, where the channel drops what is pending at
//! once while Node waits for its sink; that step itself is played as an abort.
//!
//! `HIGHWATER_TRACES=a.jsonl:b.jsonl` replays other sets as well.

use highwater::{Builder, Consumer, Finish, Flow, Monitor, Producer, TryReadError, Weigh};
use serde::Deserialize;
use std::fs;

#[derive(Deserialize)]
struct Trace {
    trace: usize,
    mode: String,
    hwm: usize,
    peak: usize,
    #[serde(rename = "peakChunks")]
    peak_chunks: usize,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default, rename_all = "camelCase")]
struct Step {
    op: String,
    size: Option<usize>,
    times: Option<usize>,
    error: bool,
    ok: Option<bool>,
    chunk: Option<usize>,
    length: usize,
    need_drain: bool,
    corked: usize,
    ended: bool,
    finished: bool,
    destroyed: bool,
    events: Vec<String>,
}

#[derive(Clone, Copy)]
struct Item {
    ordinal: usize,
    size: usize,
}

/// What was replayed, and what was not.
#[derive(Default, Debug, PartialEq, Eq)]
struct Tally {
    traces: usize,
    whole: usize,
    with_cork: usize,
    cut_at_write_after_end: usize,
    cut_at_cork_after_end: usize,
    cut_at_destroy: usize,
    operations: usize,
    operations_left_out: usize,
    drains: usize,
    finishes: usize,
}

/// The channel in the middle of a trace.
struct Player<W> {
    producer: Option<Producer<Item, W>>,
    monitor: Monitor,
    finish: Option<Finish>,
    consumer: Consumer<Item, W>,
    written: usize,
    drains: usize,
    is_finished: bool,
}

impl<W: Weigh<Item>> Player<W> {
    fn new((producer, consumer): (Producer<Item, W>, Consumer<Item, W>)) -> Self {
        Self {
            monitor: producer.monitor(),
            producer: Some(producer),
            finish: None,
            consumer,
            written: 0,
            drains: 0,
            is_finished: false,
        }
    }

    /// Plays the steps of a trace; returns the one at which it had to stop.
    fn play_all<'a>(
        mut self,
        steps: &'a [Step],
        tally: &mut Tally,
    ) -> Result<Option<&'a Step>, String> {
        let mut steps = steps.iter();
        while let Some(mut step) = steps.next() {
            let played = if step.op == "cork" && self.producer.is_some() {
                self.play_corked(&mut step, &mut steps, tally)
            } else {
                self.play(step, tally)
            };
            match played {
                Ok(true) => {}
                Ok(false) => return Ok(Some(step)),
                Err(error) => return Err(format!("{error} after {step:?}")),
            }
        }
        Ok(None)
    }

    /// Plays from a cork, the present step, to what takes the last one off.
    fn play_corked<'a>(
        &mut self,
        step: &mut &'a Step,
        steps: &mut std::slice::Iter<'a, Step>,
        tally: &mut Tally,
    ) -> Result<bool, String> {
        let mut producer = self.producer.take().expect("it is asked for before");
        let mut batch = producer.batch();
        let (mut corks, begin) = (0, self.written);
        loop {
            let times = step.times.unwrap_or(1);
            for nth in 0..times {
                match step.op.as_str() {
                    "cork" => corks += 1,
                    "uncork" => corks -= 1,
                    "write" => {
                        let flow = batch.try_write(self.next_item(step));
                        let flow = flow.map_err(|e| e.to_string())?;
                        same("result", Some(flow == Flow::Ready), step.ok)?;
                    }
                    "consume" => match step.chunk {
                        Some(first) => {
                            let read = self.consumer.try_read().ok().map(|item| item.ordinal);
                            same("chunk", read, Some(first + nth))?;
                        }
                        None => {
                            let next = self.consumer.peek().map_or(0, |item| item.ordinal);
                            same("held back", next < begin.max(1), true)?;
                        }
                    },
                    // They take all corks off.
                    _ => corks = 0,
                }
                if corks == 0 {
                    drop(batch);
                    self.producer = Some(producer);
                    return self.play(step, tally);
                }
                tally.operations += 1;
                batch.need_drain(); // a look finds a drain
                self.compare(step, nth + 1 == times, tally)?;
            }
            // What the consumer sees is less than the length, which is the producer's here.
            same("length", batch.producer().len(), step.length)?;
            same("need drain", batch.need_drain(), step.need_drain)?;
            same("corked", corks, step.corked)?;
            *step = match steps.next() {
                Some(step) => step,
                None => return Ok(true),
            };
        }
    }

    fn next_item(&mut self, step: &Step) -> Item {
        let ordinal = self.written;
        self.written += 1;
        Item {
            ordinal,
            size: step.size.unwrap_or(1),
        }
    }

    /// Plays one operation and compares everything that can be seen. `Ok(false)` ends the trace.
    fn play(&mut self, step: &Step, tally: &mut Tally) -> Result<bool, String> {
        let times = step.times.unwrap_or(1);
        for nth in 0..times {
            let is_last = nth + 1 == times;
            tally.operations += 1;
            match step.op.as_str() {
                "write" => {
                    let item = self.next_item(step);
                    let Some(producer) = &mut self.producer else {
                        tally.operations -= 1;
                        return Ok(false);
                    };
                    let flow = producer.try_write(item).map_err(|e| e.to_string())?;
                    same("result", Some(flow == Flow::Ready), step.ok)?;
                }
                "consume" => {
                    let read = self.consumer.try_read().ok().map(|item| item.ordinal);
                    same("chunk", read, step.chunk.map(|first| first + nth))?;
                }
                "end" => {
                    if let Some(producer) = self.producer.take() {
                        self.finish = Some(producer.end());
                    }
                }
                "destroy" => {
                    // After the end nobody is left to abort, and Node has the rest to wait for.
                    let Some(producer) = self.producer.take() else {
                        return Ok(self.is_finished);
                    };
                    let reason = if step.error { "E_TRACE" } else { "destroyed" };
                    producer.abort(reason);
                    match self.consumer.try_read().err() {
                        Some(TryReadError::Aborted(got)) => {
                            same("reason", &*got.to_string(), reason)?
                        }
                        other => return Err(format!("after an abort: {other:?}")),
                    }
                    return Ok(false);
                }
                // After the end: it would hold back the rest, and the producer is gone.
                "cork" => {
                    tally.operations -= 1;
                    return Ok(false);
                }
                // The last one, which has been played by now, or one too many.
                "uncork" => {}
                op => return Err(format!("what is {op}?")),
            }
            self.producer.as_ref().map(Producer::need_drain); // a look finds a drain
            self.compare(step, is_last, tally)?;
        }
        same("length", self.consumer.len(), step.length)?;
        let need_drain = self.producer.as_ref().map_or(false, Producer::need_drain);
        same("need drain", need_drain, step.need_drain)?;
        same("ended", self.producer.is_none(), step.ended)?;
        same("finished", self.is_finished, step.finished)?;
        Ok(true)
    }

    /// The events: a drain or a finish happened in this very operation, or did not.
    fn compare(&mut self, step: &Step, is_last: bool, tally: &mut Tally) -> Result<(), String> {
        let expected = |event: &str| is_last && step.events.iter().any(|e| e == event);

        let drains = self.monitor.stats().drains;
        same(
            "drain",
            drains - self.drains,
            usize::from(expected("drain")),
        )?;
        tally.drains += drains - self.drains;
        self.drains = drains;

        let finished = match &self.finish {
            Some(finish) => finish.try_wait().map_err(|e| e.to_string())?,
            None => false,
        };
        same("finish", finished && !self.is_finished, expected("finish"))?;
        tally.finishes += usize::from(finished && !self.is_finished);
        self.is_finished = finished;
        // The reader sees the end exactly when everything is consumed.
        same("is_ended", self.consumer.is_ended(), finished)
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, ours: T, nodes: T) -> Result<(), String> {
    if ours == nodes {
        Ok(())
    } else {
        Err(format!("{what}: the channel has {ours:?}, Node {nodes:?}"))
    }
}

/// Replays a set; returns the tally, and for each trace that differs where.
fn replay(set: &str, low_water_mark: impl Fn(usize) -> usize + Copy) -> (Tally, Vec<String>) {
    let mut tally = Tally::default();
    let mut wrong = Vec::new();
    let mut lines = set.lines().skip(1).peekable();
    while let Some(head) = lines.next() {
        let trace: Trace = serde_json::from_str(head).expect("a trace line");
        tally.traces += 1;
        let mut steps = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with("{\"trace\"")) {
            steps.push(serde_json::from_str::<Step>(line).expect("a step line"));
        }
        let all: usize = steps.iter().map(|step| step.times.unwrap_or(1)).sum();
        tally.with_cork += usize::from(steps.iter().any(|step| step.op == "cork"));
        let before = tally.operations;
        let builder = Builder::new()
            .high_water_mark(trace.hwm)
            .low_water_mark(low_water_mark(trace.hwm));
        let cut = if trace.mode == "byte" {
            let ends = builder
                .weigh_by(|item: &Item| item.size)
                .limit(trace.peak.max(trace.hwm))
                .capacity(trace.peak_chunks.max(1))
                .build();
            Player::new(ends.expect("legal marks")).play_all(&steps, &mut tally)
        } else {
            let capacity = trace.peak.max(trace.hwm).max(1);
            let ends = builder.capacity(capacity).build();
            Player::new(ends.expect("legal marks")).play_all(&steps, &mut tally)
        };
        match cut {
            Ok(None) => tally.whole += 1,
            Ok(Some(step)) if step.op == "write" => tally.cut_at_write_after_end += 1,
            Ok(Some(step)) if step.op == "cork" => tally.cut_at_cork_after_end += 1,
            Ok(Some(_)) => tally.cut_at_destroy += 1,
            Err(error) => wrong.push(format!("trace {}: {error}", trace.trace)),
        }
        tally.operations_left_out += all - (tally.operations - before);
    }
    (tally, wrong)
}

const PUBLIC: &str = include_str!("node-traces/public.jsonl");

#[test]
fn the_channel_behaves_as_node_does_in_every_recorded_trace() {
    let (tally, wrong) = replay(PUBLIC, |_| 0);
    println!("{tally:#?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(
        tally,
        Tally {
            traces: 150,
            whole: 84,
            with_cork: 47,
            cut_at_write_after_end: 24,
            cut_at_cork_after_end: 4,
            cut_at_destroy: 38,
            operations: 959_247,
            operations_left_out: 273,
            drains: 588,
            finishes: 82,
        }
    );
}

#[test]
fn the_channel_behaves_as_node_does_in_other_sets_of_traces() {
    let Ok(paths) = std::env::var("HIGHWATER_TRACES") else {
        return println!("HIGHWATER_TRACES names no other sets");
    };
    for path in paths.split(':') {
        let set = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let (tally, wrong) = replay(&set, |_| 0);
        println!("{path}: {tally:#?}");
        assert!(wrong.is_empty(), "{path}: {wrong:#?}");
        assert!(tally.operations > 0, "{path} has no traces");
    }
}

#[test]
fn a_channel_with_another_low_water_mark_is_noticed_by_many_traces() {
    let (_, wrong) = replay(PUBLIC, |high| high / 2);
    assert!(wrong.len() >= 40, "only {} traces notice", wrong.len());
}
