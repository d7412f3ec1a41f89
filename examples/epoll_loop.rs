//! One thread, one epoll loop: several sensor threads whose readings it collects, a timer, and a slow
//! writer thread that it feeds. While the writer is behind the loop stops reading the sensors, which
//! then wait in their turn; the timer goes on.
//!
//! `cargo run --release --example epoll_loop`. It checks afterwards that each reading was written, in order.

// The minimum Rust version is the library's; what the example depends on needs more.
#![allow(clippy::incompatible_msrv)]

#[cfg(target_os = "linux")]
mod linux {
    use anyhow::{anyhow, ensure, Context, Result};
    use highwater::{Consumer, EventFd, Flow, Producer, TryReadError};
    use rustix::{
        buffer::spare_capacity,
        event::epoll::{self, EventData, EventFlags},
        fd::{AsFd, OwnedFd},
        time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec},
    };
    use std::{
        thread,
        time::{Duration, Instant},
    };

    const SENSORS: usize = 8;
    const READINGS: u64 = 5_000;
    const TICK: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 10_000_000,
    };

    /// What an event is about; below these it is the number of a sensor.
    const TIMER: u64 = u64::MAX;
    const WRITER: u64 = u64::MAX - 1;
    const FINISH: u64 = u64::MAX - 2;

    #[derive(Clone, Copy)]
    struct Reading {
        sensor: usize,
        value: u64,
    }

    fn sensor(sensor: usize, mut readings: Producer<Reading>) -> Result<()> {
        for value in 0..READINGS {
            // Waits if the loop does not keep up.
            readings.write(Reading { sensor, value })?;
        }
        readings.end();
        Ok(())
    }

    /// Returns how much it has written.
    fn writer(readings: Consumer<Reading>) -> Result<u64> {
        let mut next = [0; SENSORS];
        for (written, reading) in readings.into_iter().enumerate() {
            let Reading { sensor, value } = reading?;
            ensure!(
                value == next[sensor],
                "sensor {sensor}: {value} is out of order"
            );
            next[sensor] += 1;
            if written % 100 == 0 {
                thread::sleep(Duration::from_millis(1)); // a slow disk
            }
        }
        Ok(next.iter().sum())
    }

    struct Sensor {
        readings: Consumer<Reading>,
        ready: EventFd,
        is_open: bool,
    }

    struct EventLoop {
        epoll: OwnedFd,
        sensors: Vec<Sensor>,
        is_paused: bool,
        ticks: u64,
    }

    impl EventLoop {
        fn watch(&self, fd: impl AsFd, key: u64) -> Result<()> {
            let data = EventData::new_u64(key);
            Ok(epoll::add(&self.epoll, fd, data, EventFlags::IN)?)
        }

        /// Waits for the writer instead of the sensors, or for the sensors again: what is watched and not
        /// read would be reported all the time.
        fn pause(&mut self, is_paused: bool, drained: &EventFd) -> Result<()> {
            self.is_paused = is_paused;
            let flags = if is_paused {
                self.watch(drained, WRITER)?;
                EventFlags::empty()
            } else {
                epoll::delete(&self.epoll, drained)?;
                EventFlags::IN
            };
            for (key, sensor) in self.sensors.iter().enumerate() {
                if sensor.is_open {
                    let data = EventData::new_u64(key as u64);
                    epoll::modify(&self.epoll, &sensor.ready, data, flags)?;
                }
            }
            Ok(())
        }

        /// Passes on what a sensor has, until it has no more or the writer says stop.
        fn forward(&mut self, key: usize, output: &mut Producer<Reading>) -> Result<Flow> {
            let sensor = &mut self.sensors[key];
            loop {
                match sensor.readings.try_read() {
                    Ok(reading) => match output.try_write(reading) {
                        Ok(Flow::Ready) => {}
                        Ok(Flow::Backpressure) => return Ok(Flow::Backpressure),
                        Err(error) => return Err(anyhow!("the writer has failed: {error}")),
                    },
                    Err(TryReadError::Empty) => return Ok(Flow::Ready),
                    Err(TryReadError::Ended) => {
                        sensor.is_open = false;
                        epoll::delete(&self.epoll, &sensor.ready)?;
                        return Ok(Flow::Ready);
                    }
                    Err(error) => return Err(error).context(format!("sensor {key}")),
                }
            }
        }

        fn run(&mut self, mut output: Producer<Reading>, timer: &OwnedFd) -> Result<()> {
            let drained = output.drain_fd()?;
            let mut output = Some(output);
            let mut finish = None;
            let mut events = Vec::with_capacity(SENSORS);
            loop {
                events.clear();
                epoll::wait(&self.epoll, spare_capacity(&mut events), None)?;
                for event in &events {
                    match (event.data.u64(), &mut output) {
                        (TIMER, _) => {
                            let mut ticks = [0; 8];
                            rustix::io::read(timer, &mut ticks)?;
                            self.ticks += u64::from_ne_bytes(ticks);
                        }
                        (WRITER, Some(output)) => {
                            if !output.need_drain() {
                                self.pause(false, &drained)?;
                            }
                        }
                        (key, Some(output)) => {
                            // Not if another one of the same round has filled the channel.
                            if !self.is_paused
                                && self.forward(key as usize, output)? == Flow::Backpressure
                            {
                                self.pause(true, &drained)?;
                            }
                        }
                        (_, None) => return Ok(()), // FINISH
                    }
                }
                if finish.is_none() && self.sensors.iter().all(|sensor| !sensor.is_open) {
                    let last = finish.insert(output.take().context("ends once")?.end());
                    self.watch(last.finish_fd()?, FINISH)?;
                }
            }
        }
    }

    pub fn main() -> Result<()> {
        let begin = Instant::now();
        let mut sensors = Vec::new();
        let mut threads = Vec::new();
        for number in 0..SENSORS {
            let (producer, mut readings) = highwater::channel(64);
            threads.push(thread::spawn(move || sensor(number, producer)));
            sensors.push(Sensor {
                ready: readings.ready_fd()?,
                readings,
                is_open: true,
            });
        }
        let (output, consumer) = highwater::channel(256);
        let stats = output.monitor();
        let writer = thread::spawn(move || writer(consumer));

        let timer =
            rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        let every_tick = Itimerspec {
            it_interval: TICK,
            it_value: TICK,
        };
        rustix::time::timerfd_settime(&timer, TimerfdTimerFlags::empty(), &every_tick)?;

        let mut events = EventLoop {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            sensors,
            is_paused: false,
            ticks: 0,
        };
        events.watch(&timer, TIMER)?;
        for (key, sensor) in events.sensors.iter().enumerate() {
            events.watch(&sensor.ready, key as u64)?;
        }
        events.run(output, &timer)?;

        for thread in threads {
            thread.join().map_err(|_| anyhow!("a sensor panicked"))??;
        }
        let written = writer
            .join()
            .map_err(|_| anyhow!("the writer panicked"))??;
        let stats = stats.stats();
        println!(
            "{written} readings of {SENSORS} sensors in {:.0?}; {} ticks; told to stop {} times, {} drains, at most {} waited",
            begin.elapsed(),
            events.ticks,
            stats.times_told_to_stop,
            stats.drains,
            stats.peak_len,
        );
        ensure!(written == SENSORS as u64 * READINGS, "readings were lost");
        ensure!(events.ticks > 0, "the timer was held up");
        ensure!(stats.drains > 0, "the writer was never behind");
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("epoll is Linux's");
}
