//! The life of an end, whatever it carries: steps at its pace, until its fate comes.

use crate::{
    plan::{ConsumerFate, Part, ProducerFate},
    side::{lock, panic_as_planned, ConsumerEnding, Door, ProducerEnding, Side},
};
use futures_lite::future::{block_on, poll_once};
use highwater::{Finish, ReadError, Reason};
use std::{future::Future, sync::atomic::Ordering, thread};

/// In a thread, or in a task.
pub trait End: Send + 'static {
    fn run(self);
    fn run_async(self) -> impl Future<Output = ()> + Send;
}

/// The consumer takes no more.
pub struct Refused;

pub trait Writer: Send + Sized + 'static {
    fn side(&mut self) -> &mut Side;
    fn part(&self) -> &Part<ProducerFate>;
    /// How much is to be written if nobody dies.
    fn amount(&self) -> u64;
    /// Writes some, but no more than `most`, or does something else.
    fn step(&mut self, most: u64) -> Result<(), Refused>;
    fn step_async(&mut self, most: u64) -> impl Future<Output = Result<(), Refused>> + Send;
    fn cancel_reason(&self) -> Option<Reason>;
    fn end(self) -> (Finish, Side);
    fn abort(self, reason: &'static str);
    /// Panics with something half-done.
    fn panic_inside(&mut self);

    fn left(&mut self) -> u64 {
        let until = match self.part().fate {
            ProducerFate::Finish | ProducerFate::End => self.amount(),
            _ => self.part().fate_at,
        };
        until.saturating_sub(self.side().record.accepted())
    }

    fn set_ending(&mut self, ending: ProducerEnding) {
        *lock(&self.side().record.producer) = Some(ending);
    }

    fn refuse(mut self) {
        let reason = self.cancel_reason();
        self.set_ending(ProducerEnding::Refused(reason));
    }

    /// `Some`: the finish is to be waited for.
    fn meet_fate(mut self) -> Option<(Finish, Side)> {
        match self.part().fate {
            ProducerFate::Finish => {
                self.set_ending(ProducerEnding::Ended);
                return Some(self.end());
            }
            ProducerFate::End => {
                self.set_ending(ProducerEnding::Ended);
                drop(self.end());
            }
            ProducerFate::Drop => {}
            ProducerFate::Panic => panic_as_planned(),
            ProducerFate::PanicInside => {
                self.panic_inside();
                panic_as_planned();
            }
            ProducerFate::Abort => {
                self.set_ending(ProducerEnding::Aborted);
                self.abort("as planned");
            }
        }
        None
    }

    fn live(mut self) {
        loop {
            let (before, left) = (self.side().record.accepted(), self.left());
            if left == 0 {
                break;
            }
            if self.step(left).is_err() {
                return self.refuse();
            }
            let went = self.side().record.accepted() - before;
            self.side().breathe(went);
        }
        if let Some((finish, mut side)) = self.meet_fate() {
            let is_finished = wait_for_finish(finish, &mut side);
            record_finish(&side, is_finished);
        }
    }

    fn live_async(mut self) -> impl Future<Output = ()> + Send {
        async move {
            loop {
                let (before, left) = (self.side().record.accepted(), self.left());
                if left == 0 {
                    break;
                }
                if self.step_async(left).await.is_err() {
                    return self.refuse();
                }
                let went = self.side().record.accepted() - before;
                self.side().breathe_async(went).await;
            }
            if let Some((mut finish, mut side)) = self.meet_fate() {
                if side.one_in(2) {
                    let _ = poll_once(&mut finish).await;
                }
                record_finish(&side, finish.await.is_ok());
            }
        }
    }
}

fn wait_for_finish(mut finish: Finish, side: &mut Side) -> bool {
    match side.door() {
        Door::Sleep | Door::Callback => return finish.wait().is_ok(),
        Door::Future => return block_on(finish).is_ok(),
        Door::Poll | Door::Epoll => {}
    }
    loop {
        match finish.try_wait() {
            Ok(true) => return true,
            Ok(false) if side.is_polling() => thread::yield_now(),
            Ok(false) => side.until_finished(&mut finish),
            Err(_) => return false,
        }
    }
}

fn record_finish(side: &Side, is_finished: bool) {
    *lock(&side.record.producer) = Some(if is_finished {
        ProducerEnding::Finished
    } else {
        ProducerEnding::FinishRefused
    });
}

pub trait Reader: Send + Sized + 'static {
    fn side(&mut self) -> &mut Side;
    fn part(&mut self) -> &mut Part<ConsumerFate>;
    /// Reads some, but no more than `most`, or does something else.
    fn step(&mut self, most: u64) -> Result<(), ReadError>;
    fn step_async(&mut self, most: u64) -> impl Future<Output = Result<(), ReadError>> + Send;
    fn close(&mut self);
    fn cancel(self, reason: &'static str);
    /// Panics with something half-done.
    fn panic_inside(&mut self);

    fn left(&mut self) -> u64 {
        match self.part().fate {
            ConsumerFate::ReadToTheEnd => u64::MAX,
            _ => {
                let fate_at = self.part().fate_at;
                fate_at.saturating_sub(self.side().record.received())
            }
        }
    }

    fn set_ending(&mut self, ending: ConsumerEnding) {
        *lock(&self.side().record.consumer) = Some(ending);
    }

    /// `Some`: goes on, to the end.
    fn meet_fate(mut self) -> Option<Self> {
        match self.part().fate {
            ConsumerFate::ReadToTheEnd => unreachable!("it has no other end"),
            ConsumerFate::Close => {
                self.side().record.closed.store(true, Ordering::Relaxed);
                self.close();
                self.part().fate = ConsumerFate::ReadToTheEnd;
                return Some(self);
            }
            ConsumerFate::Drop => {}
            ConsumerFate::Panic => panic_as_planned(),
            ConsumerFate::PanicInside => {
                self.panic_inside();
                panic_as_planned();
            }
            ConsumerFate::Cancel => {
                self.set_ending(ConsumerEnding::Cancelled);
                self.cancel("as planned");
            }
        }
        None
    }

    fn live(mut self) {
        loop {
            let (before, left) = (self.side().record.received(), self.left());
            if left == 0 {
                match self.meet_fate() {
                    Some(this) => self = this,
                    None => return,
                }
                continue;
            }
            if let Err(error) = self.step(left) {
                return self.set_ending(ConsumerEnding::of(error));
            }
            let went = self.side().record.received() - before;
            self.side().breathe(went);
        }
    }

    fn live_async(mut self) -> impl Future<Output = ()> + Send {
        async move {
            loop {
                let (before, left) = (self.side().record.received(), self.left());
                if left == 0 {
                    match self.meet_fate() {
                        Some(this) => self = this,
                        None => return,
                    }
                    continue;
                }
                if let Err(error) = self.step_async(left).await {
                    return self.set_ending(ConsumerEnding::of(error));
                }
                let went = self.side().record.received() - before;
                self.side().breathe_async(went).await;
            }
        }
    }
}
