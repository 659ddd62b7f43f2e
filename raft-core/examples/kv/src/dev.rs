//! `--dev`: three nodes on loopback, and how to use them.

use crate::cluster::{Cluster, on_loopback};
use crate::options::Options;
use std::io;
use std::sync::mpsc::channel;
use std::time::Duration;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

/// Starts the nodes, prints what can be done with them, and stops them at Ctrl-C.
///
/// # Errors
///
/// A node cannot be started, or has ended.
pub fn run(options: &Options) -> io::Result<()> {
    let member =
        |id: u16| on_loopback(u64::from(id), options.port + id - 1, options.port + 99 + id);
    let members = (1..=3).map(member).collect();
    let mut cluster = Cluster::new(std::env::current_exe()?, options.dir.clone(), members);
    for id in 1..=3 {
        cluster.start(id)?;
    }
    let fourth = member(4);
    let mut joining = Cluster::new(std::env::current_exe()?, options.dir.clone(), Vec::new());
    cluster.members().iter().cloned().chain([fourth.clone()]).for_each(|m| joining.join(m));
    let (stopped, stops) = channel();
    std::thread::spawn(move || stopped.send(wait_for_signal()));
    let mut announced = false;
    loop {
        match stops.recv_timeout(Duration::from_millis(200)) {
            Ok(waited) => break waited?,
            Err(_) => ended_early(&mut cluster)?,
        }
        if !announced && (1..=3).all(|id| cluster.answers(id)) {
            announced = true;
            print(&cluster, &joining);
        }
    }
    println!("stopping");
    for id in cluster.running().collect::<Vec<_>>() {
        let well = cluster.stop(id, Duration::from_secs(10))?;
        println!("node {id} has stopped{}", if well { "" } else { ", but not in order" });
    }
    Ok(())
}

fn ended_early(cluster: &mut Cluster) -> io::Result<()> {
    for id in cluster.running().collect::<Vec<_>>() {
        if let Some(status) = cluster.ended(id)? {
            let log = cluster.log(id);
            let why = format!("node {id} has ended ({status}): see {}", log.display());
            return Err(io::Error::other(why));
        }
    }
    Ok(())
}

fn wait_for_signal() -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut int, mut term) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
        }
        Ok(())
    })
}

fn print(cluster: &Cluster, joining: &Cluster) {
    let (one, two) = (cluster.http(1), cluster.http(2));
    let fourth = &joining.members()[3].address;
    let binary = std::env::current_exe().map_or_else(|_| "kv".into(), |b| b.display().to_string());
    let start = joining.arguments_of(4, true).join(" ");
    println!(
        "three nodes run; their data and logs are in {}

see them      http://{one}/
write         curl -L -X PUT --data hello http://{one}/kv/greeting
read          curl http://{two}/kv/greeting
  by lease    curl 'http://{one}/kv/greeting?consistency=lease'
  stale       curl 'http://{two}/kv/greeting?consistency=stale'
append        curl -L --data , http://{one}/kv/greeting
delete        curl -L -X DELETE http://{one}/kv/greeting
session       curl -L -X POST http://{one}/sessions
  once in it  curl -L -H 'kv-session: 0' -H 'kv-number: 1' --data , http://{one}/kv/greeting
status        curl http://{one}/status
metrics       curl http://{one}/metrics
snapshot      curl -X POST http://{one}/snapshot
hand over     curl -L -X POST http://{one}/leader
  to node 2   curl -L -X POST 'http://{one}/leader?to=2'
add a node    {binary} {start} 2>/dev/null &
              curl -L -X POST 'http://{one}/nodes/4?raft={raft}&http={http}'
  as a voter  curl -L -X POST http://{one}/nodes/4/promote
remove it     curl -L -X DELETE http://{one}/nodes/4

Ctrl-C stops the three; a fourth one runs until it is killed.",
        cluster.dir().display(),
        raft = fourth.raft,
        http = fourth.http,
    );
}
