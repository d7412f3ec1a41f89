//! The examples `tcp_relay` and `log_writer` as programs: backpressure through three layers, and a log that
//! loses nothing without saying so.
#![cfg(all(target_os = "linux", feature = "std", not(loom), not(miri)))]
// The minimum Rust version is the library's; what the examples depend on needs more.
#![allow(clippy::incompatible_msrv)]

mod common;
#[path = "common/process.rs"]
mod process;

use common::{deadline, eventually, Random};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc,
    },
    thread,
    time::{Duration, Instant},
};

const MIB: u64 = 1024 * 1024;

/// A relay that runs, and ends with the test.
struct Relay {
    process: Child,
    address: SocketAddr,
}

impl Relay {
    fn to(target: SocketAddr) -> Self {
        let mut process = Command::new(process::example("tcp_relay"))
            .args(["127.0.0.1:0", &target.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the relay starts");
        let mut lines = BufReader::new(process.stdout.take().expect("it is a pipe")).lines();
        let first = lines.next().expect("a line").expect("of text");
        let address = first
            .strip_prefix("listening on ")
            .expect("its address")
            .parse()
            .expect("an address");
        // It prints on, and must not wait for us.
        thread::spawn(move || lines.for_each(drop));
        Self { process, address }
    }

    /// The most memory that was resident at any time, in bytes.
    fn peak_memory(&self) -> u64 {
        let process = procfs::process::Process::new(self.process.id() as i32);
        let status = process.and_then(|p| p.status()).expect("it runs");
        status.vmhwm.expect("Linux says") * 1024
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_client_that_does_not_read_stalls_the_server_behind_the_relay() {
    deadline(|| {
        const OFFERED: u64 = 1024 * MIB;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay::to(listener.local_addr().unwrap());
        let mut client = TcpStream::connect(relay.address).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let sent = Arc::new(AtomicU64::new(0));
        let counter = sent.clone();
        let sender = thread::spawn(move || {
            let piece = [7; 64 * 1024];
            while counter.load(Ordering::Relaxed) < OFFERED && server.write_all(&piece).is_ok() {
                counter.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
        });

        // The two seconds are what is tested: a sender that really stalls.
        eventually("the first bytes", || sent.load(Ordering::Relaxed) > 0);
        thread::sleep(Duration::from_secs(1));
        let after_one = sent.load(Ordering::Relaxed);
        thread::sleep(Duration::from_secs(1));
        let after_two = sent.load(Ordering::Relaxed);
        assert_eq!(after_one, after_two, "the sends go on");
        assert!(
            after_two < OFFERED / 10,
            "{} MiB were sent",
            after_two / MIB
        );

        // A slow client: its pace becomes the server's.
        let (begin, mut received) = (Instant::now(), 0);
        let mut buffer = [0; 64 * 1024];
        while begin.elapsed() < Duration::from_secs(1) {
            let count = client.read(&mut buffer).unwrap();
            assert!(count > 0 && buffer[..count].iter().all(|byte| *byte == 7));
            received += count as u64;
            thread::sleep(Duration::from_millis(5)); // what makes it slow
        }
        let ahead = sent.load(Ordering::Relaxed) - received;
        assert!(ahead < OFFERED / 10, "{} MiB ahead", ahead / MIB);
        let memory = relay.peak_memory();
        println!(
            "stalled at {} KiB, read {} KiB, peak memory of the relay {} KiB",
            after_two / 1024,
            received / 1024,
            memory / 1024
        );
        assert!(memory < 16 * MIB, "{} KiB resident", memory / 1024);
        // The server's sends fail once the client has gone.
        drop(client);
        sender.join().unwrap();
        assert!(sent.load(Ordering::Relaxed) < OFFERED);
    });
}

#[test]
fn both_directions_are_relayed_whole_and_each_ends_for_itself() {
    deadline(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay::to(listener.local_addr().unwrap());
        let question: Vec<u8> = {
            let mut random = Random::new(1);
            (0..5_000_000).map(|_| random.below(256) as u8).collect()
        };
        let client = TcpStream::connect(relay.address).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        // Answers only after it has got everything: the end of one direction is not that of the other.
        let echo = thread::spawn(move || {
            let mut got = Vec::new();
            server.read_to_end(&mut got).unwrap();
            server.write_all(&got).unwrap();
        });
        (&client).write_all(&question).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        (&client).read_to_end(&mut answer).unwrap();
        assert!(answer == question);
        echo.join().unwrap();
    });
}

#[test]
fn a_target_that_is_not_there_ends_the_connection() {
    deadline(|| {
        // A port that was free a moment ago, and that nobody listens at.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let relay = Relay::to(address);
        let mut client = TcpStream::connect(relay.address).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn a_log_accounts_for_each_line_whether_it_drops_or_waits() {
    deadline(|| {
        let log_writer = process::example("log_writer");
        for (policy, slow_disk) in [("drop", "0"), ("drop", "3"), ("wait", "0"), ("wait", "1")] {
            let output = Command::new(&log_writer)
                .args(["--lines", "50000", "--buffer", "64KiB"])
                .args(["--policy", policy, "--slow-disk", slow_disk])
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{output:?}");
            assert!(text.contains("checked  each line is there"), "{text}");
            match (policy, slow_disk) {
                ("wait", _) => assert!(text.contains("dropped  0,"), "{text}"),
                ("drop", "3") => assert!(!text.contains("dropped  0,"), "{text}"),
                _ => {} // depends on the machine
            }
        }
    });
}
