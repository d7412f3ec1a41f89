//! A TCP proxy with a pipe each way: a slow client holds back a fast server, through the pipe, the
//! kernel's socket buffers and the server's own sends, and the proxy's memory stays bounded.
//!
//! `cargo run --release --example tcp_relay -- LISTEN TARGET [--high-water-mark BYTES]`, for instance with
//! `127.0.0.1:8080 127.0.0.1:80`. Without arguments it plays all three parts itself for some seconds.
//!
//! Once a second it prints what waits in either direction.

// The minimum Rust version is the library's; what the example depends on needs more.
#![allow(clippy::incompatible_msrv)]

use anyhow::{Context, Result};
use bytesize::ByteSize;
use clap::Parser;
use highwater::{Monitor, Pipe, PipeError};
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        Arc, Mutex,
    },
    thread,
    time::{Duration, Instant},
};

/// Relays TCP connections with backpressure.
#[derive(Parser)]
#[command(
    name = "tcp_relay",
    override_usage = "tcp_relay [OPTIONS] [LISTEN TARGET]"
)]
struct Options {
    /// Where to accept connections
    #[arg(requires = "target")]
    listen: Option<SocketAddr>,
    /// Where to connect to for each of them
    target: Option<SocketAddr>,
    /// How much may wait in each direction of each connection
    #[arg(long, value_name = "BYTES", default_value = "256KiB")]
    high_water_mark: ByteSize,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let mark = usize::try_from(options.high_water_mark.0)?;
    match (options.listen, options.target) {
        (Some(listen), Some(target)) => {
            let listener = TcpListener::bind(listen).with_context(|| listen.to_string())?;
            println!("listening on {}", listener.local_addr()?);
            relay(&listener, target, mark)
        }
        _ => play_all_parts(mark),
    }
}

/// Accepts connections for ever, each in a thread of its own.
fn relay(listener: &TcpListener, target: SocketAddr, mark: usize) -> Result<()> {
    for number in 1.. {
        // One that cannot be accepted (too many files open, or it is gone again) is not the end.
        let Ok((client, address)) = listener.accept() else {
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        thread::spawn(move || {
            println!("{number}: {address} -> {target}");
            let server = match TcpStream::connect(target) {
                Ok(server) => server,
                Err(error) => return println!("{number}: {target}: {error}"),
            };
            match relay_one(number, client, server, mark) {
                Ok((up, down)) => println!("{number}: done, {up} up, {down} down"),
                Err(error) => println!("{number}: {error:#}"),
            }
        });
    }
    unreachable!("connections are counted in more bits than there are seconds")
}

/// One connection: a pipe each way, until both directions have ended, or one has failed.
fn relay_one(
    number: u64,
    client: TcpStream,
    server: TcpStream,
    mark: usize,
) -> Result<(ByteSize, ByteSize)> {
    let lengths = Lengths::default();
    let (for_up, for_down) = (lengths.clone(), lengths.clone());
    let (client_again, server_again) = (client.try_clone()?, server.try_clone()?);
    let up = thread::spawn(move || {
        let pipe = Pipe::new().high_water_mark(mark);
        one_way(pipe.on_start(|m| for_up.set(0, m)), client, server)
    });
    let down = thread::spawn(move || {
        let pipe = Pipe::new().high_water_mark(mark);
        one_way(
            pipe.on_start(|m| for_down.set(1, m)),
            server_again,
            client_again,
        )
    });
    lengths.print_while(number, || !up.is_finished() || !down.is_finished());
    let up = up.join().expect("a pipe does not panic");
    let down = down.join().expect("a pipe does not panic");
    Ok((up.context("up")?, down.context("down")?))
}

/// The pipe ends with its source; then the sink is told that no more will come.
fn one_way(pipe: Pipe<'_>, source: TcpStream, sink: TcpStream) -> Result<ByteSize, PipeError> {
    let back = source.try_clone();
    let copied = pipe.run(source, &sink);
    match &copied {
        Ok(_) => {
            // A peer that has gone meanwhile needs not be told.
            let _ = sink.shutdown(Shutdown::Write);
        }
        Err(_) => {
            // The other direction is no use any more, and may wait for ever.
            let _ = sink.shutdown(Shutdown::Both);
            let _ = back.and_then(|source| source.shutdown(Shutdown::Both));
        }
    }
    copied.map(|report| ByteSize(report.bytes))
}

/// What waits in the two directions.
#[derive(Clone, Default)]
struct Lengths(Arc<Mutex<[Option<Monitor>; 2]>>);

impl Lengths {
    fn set(&self, direction: usize, monitor: Monitor) {
        self.0.lock().expect("nobody panics with it")[direction] = Some(monitor);
    }

    fn print_while(&self, number: u64, goes_on: impl Fn() -> bool) {
        let mut printed = Instant::now();
        while goes_on() {
            thread::sleep(Duration::from_millis(20));
            if printed.elapsed() < Duration::from_secs(1) {
                continue;
            }
            printed = Instant::now();
            let monitors = self.0.lock().expect("nobody panics with it").clone();
            let in_words = |monitor: &Option<Monitor>| match monitor {
                Some(m) => format!(
                    "{} waiting ({} in all)",
                    ByteSize(m.len() as u64),
                    ByteSize(m.stats().items_read as u64)
                ),
                None => "not there yet".to_owned(),
            };
            let (up, down) = (in_words(&monitors[0]), in_words(&monitors[1]));
            println!("{number}: up {up}, down {down}");
        }
    }
}

/// A server that sends as fast as it can, and a client that reads nothing at first and then slowly.
fn play_all_parts(mark: usize) -> Result<()> {
    const OFFERED: u64 = 1024 * 1024 * 1024;
    let target = TcpListener::bind("127.0.0.1:0")?;
    let target_address = target.local_addr()?;
    let sent = Arc::new(AtomicU64::new(0));
    let counter = sent.clone();
    thread::spawn(move || {
        let (mut client, _) = target.accept().expect("the relay connects");
        let piece = [7; 64 * 1024];
        while counter.load(Ordering::Relaxed) < OFFERED && client.write_all(&piece).is_ok() {
            counter.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let relay_address = listener.local_addr()?;
    thread::spawn(move || relay(&listener, target_address, mark));

    let done = Arc::new(AtomicBool::new(false));
    let (is_done, counter) = (done.clone(), sent.clone());
    let watcher = thread::spawn(move || {
        while !is_done.load(Ordering::Relaxed) {
            let sent = ByteSize(counter.load(Ordering::Relaxed));
            println!("the server has sent {sent} of {}", ByteSize(OFFERED));
            thread::sleep(Duration::from_secs(1));
        }
    });
    let mut client = TcpStream::connect(relay_address)?;
    println!("the client reads nothing for two seconds");
    thread::sleep(Duration::from_secs(2));
    println!("now it reads, 64 KiB every 10 ms, for three seconds");
    let (begin, mut received, mut buffer) = (Instant::now(), 0, vec![0; 64 * 1024]);
    while begin.elapsed() < Duration::from_secs(3) {
        received += client.read(&mut buffer)? as u64;
        thread::sleep(Duration::from_millis(10));
    }
    drop(client);
    done.store(true, Ordering::Relaxed);
    watcher.join().expect("it only prints");
    let ahead = sent.load(Ordering::Relaxed) - received;
    println!(
        "the client has got {}, the server is {} ahead of it: that is in two pipes and four socket buffers",
        ByteSize(received),
        ByteSize(ahead)
    );
    Ok(())
}
