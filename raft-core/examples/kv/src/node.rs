//! One node, from its start to its end.

use crate::address::Addresses;
use crate::command::{Command, Record};
use crate::driver::{DriverLoop, Hands};
use crate::http::{App, router};
use crate::identity::{Identity, OpenError, Stored, open};
use crate::inbox::{Completions, Inbox, Message, Outside, Request, inbox};
use crate::machine::worker::Worker;
use crate::metrics::Metrics;
use crate::net::codec::{MAX_FRAME, MAX_HEAD};
use crate::net::tls::Tls;
use crate::net::{Incoming, Links, Net, Outgoing, listen};
use crate::options::NodeOptions;
use crate::storage::ahead::ReadAhead;
use crate::storage::redb_log::RedbReader;
use crate::storage::snapshots::Snapshots;
use crate::storage::{Engine, Files, Log};
use crate::{clock, disk};
use raft_core::driver::{Driver, Entry, Settings};
use raft_core::{Config, Node, NodeId, Recovered, RoleKind, StartError};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime::{self, Handle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

/// Why a node could not run.
#[derive(Debug, Error)]
pub enum RunError {
    /// The command line does not say where this node is.
    #[error("--members does not name node {0}")]
    NotAMember(u64),
    /// The data directory.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What was found in it is no state of a node.
    #[error("what is stored cannot be: {0}")]
    Start(#[from] StartError),
    /// The system.
    #[error("{0}: {1}")]
    System(&'static str, io::Error),
}

/// Everything of a node but the thread that decides, and what that one starts from.
#[derive(Debug)]
pub struct Around {
    /// What the node is told.
    pub options: NodeOptions,
    /// What was found on the disk.
    pub recovered: Recovered,
    /// What the snapshot keeps of the address book, and what the log says of it after that.
    pub book: (Vec<Record>, Vec<Entry<Record>>),
    /// The log, to be read.
    pub log: RedbReader,
    /// The snapshots, to be read.
    pub snapshots: Snapshots,
    /// What the thread is told.
    pub inbox: Inbox,
    /// The way to tell it that something was done.
    pub done: Completions,
    /// What it hands effects to.
    pub hands: Hands,
    /// The connections.
    pub net: Arc<Net>,
    /// Where peers connect.
    pub listener: TcpListener,
    /// Where tasks run.
    pub runtime: Handle,
}

/// Starts the thread that decides, and serves the peers that connect. It ends when it is told to.
pub type Core = fn(Around) -> Result<JoinHandle<()>, RunError>;

/// Runs a node until it is told to stop.
///
/// # Errors
///
/// It could not start.
pub fn run(dir: &Path, options: &NodeOptions) -> Result<(), RunError> {
    run_with(dir, options, &Files, start_driver)
}

/// The same, on databases that are opened so.
///
/// # Errors
///
/// It could not start.
pub fn run_on(dir: &Path, options: &NodeOptions, engine: &dyn Engine) -> Result<(), RunError> {
    run_with(dir, options, engine, start_driver)
}

/// The same around another core: for what is compared with this one.
///
/// # Errors
///
/// It could not start.
pub fn run_core(dir: &Path, options: &NodeOptions, core: Core) -> Result<(), RunError> {
    run_with(dir, options, &Files, core)
}

fn run_with(
    dir: &Path,
    options: &NodeOptions,
    engine: &dyn Engine,
    core: Core,
) -> Result<(), RunError> {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| RunError::System("the runtime", error))?;
    let ended = runtime.block_on(serve(dir, options, (engine, core), runtime.handle()));
    // Connections end here; nothing that they still hold is promised to anybody.
    runtime.shutdown_timeout(Duration::from_millis(200));
    ended
}

async fn serve(
    dir: &Path,
    options: &NodeOptions,
    (engine, core): (&dyn Engine, Core),
    runtime: &Handle,
) -> Result<(), RunError> {
    let id = options.id;
    let own = options.members.iter().find(|member| member.id == id);
    let address = own.ok_or(RunError::NotAMember(id))?.address.clone();
    let bind = async |at: &str| {
        TcpListener::bind(at).await.map_err(|error| RunError::System("an address", error))
    };
    let listen_at = options.listen.as_ref().unwrap_or(&address.raft);
    let (raft, web) = (bind(listen_at).await?, bind(&address.http).await?);
    let voters =
        if options.join { Vec::new() } else { options.members.iter().map(|m| m.id).collect() };
    let identity = Identity { cluster: options.cluster.clone(), id, voters };
    let begun = Instant::now();
    let stored = open(dir, &identity, options.init || options.join, engine)?;
    let opened_ms = begun.elapsed().as_millis();

    let (inbox, done, outside) = inbox();
    let (metrics, addresses) =
        (Arc::<Metrics>::default(), Addresses::of_arguments(&options.members));
    let tls = options.tls_files().map(|files| Tls::load(&files)).transpose();
    let net = Arc::new(Net {
        cluster: options.cluster.clone(),
        id,
        address,
        addresses: addresses.clone(),
        tls: tls.map_err(|error| RunError::System("TLS", error))?,
        outside: outside.clone(),
        metrics: Arc::clone(&metrics),
    });
    let state = stored.state.clone();
    let around = (inbox, raft, runtime.clone());
    let threads = Threads::start(options, stored, done, net, around, core)?;
    let app = App { id, cluster: identity.cluster, outside, state, addresses, metrics };
    tracing::info!(id, cluster = app.cluster, opened_ms, "started");
    until_stopped(app, web, options).await?;
    tokio::task::block_in_place(|| threads.join());
    tracing::info!(id, "stopped");
    Ok(())
}

/// Serves HTTP until a signal comes; then hands over leadership, and ends.
async fn until_stopped(app: App, web: TcpListener, options: &NodeOptions) -> Result<(), RunError> {
    let outside = app.outside.clone();
    let (stop, mut stopped) = watch::channel(false);
    let server = axum::serve(web, router(app)).with_graceful_shutdown(async move {
        _ = stopped.wait_for(|stopped| *stopped).await;
    });
    let server = tokio::spawn(server.into_future());
    told_to_stop(options.tied).await.map_err(|error| RunError::System("signals", error))?;
    tracing::info!("stopping");
    hand_over(&outside, options.election_timeout() * 2).await;
    stop.send_replace(true);
    // Whoever still waits is cut off.
    _ = timeout(Duration::from_secs(1), server).await;
    _ = outside.send(Message::Stop).await;
    Ok(())
}

/// A leader that goes hands over first: so nobody waits for an election timeout.
async fn hand_over(outside: &Outside, patience: Duration) {
    let (caller, look) = oneshot::channel();
    _ = outside.send(Message::Look(caller)).await;
    if !look.await.is_ok_and(|look| look.status.role == RoleKind::Leader) {
        return;
    }
    let (caller, told) = oneshot::channel();
    _ = outside.send(Message::Request(Request::Transfer { to: None }, caller)).await;
    let told = timeout(patience, told).await;
    tracing::info!(?told, "handed over");
}

async fn told_to_stop(tied: bool) -> io::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let parent_ends = async {
        if tied {
            // A thread of its own: a read of standard input cannot be taken back.
            let (said, ended) = oneshot::channel();
            std::thread::spawn(move || {
                _ = io::copy(&mut io::stdin(), &mut io::sink());
                said.send(())
            });
            _ = ended.await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
        () = parent_ends => {}
    }
    Ok(())
}

/// The threads of a node. They end one after the other, each when nobody can tell it anything more:
/// the driver, the state machine, the disk.
struct Threads([JoinHandle<()>; 3]);

impl Threads {
    fn start(
        options: &NodeOptions,
        stored: Stored,
        done: Completions,
        net: Arc<Net>,
        (inbox, listener, runtime): (Inbox, TcpListener, Handle),
        core: Core,
    ) -> Result<Self, RunError> {
        let Stored { log, state, snapshots, recovered, book } = stored;
        let incoming = Incoming::new(&snapshots);
        let (reader, told) = (log.reader(), done.clone());
        let (disk, disk_thread) = disk::start(log, done.clone(), Arc::clone(&net.metrics));
        let worker = Worker {
            state,
            snapshots: snapshots.clone(),
            incoming: incoming.clone(),
            disk: disk.clone(),
            done,
        };
        let (machine, machine_thread) = worker.start();
        let hands = Hands {
            disk,
            machine,
            links: Links::new(Arc::clone(&net), runtime.clone()),
            outgoing: Outgoing::new(Arc::clone(&net), snapshots.clone(), runtime.clone()),
            incoming,
            metrics: Arc::clone(&net.metrics),
        };
        let options = options.clone();
        let around = Around {
            options,
            recovered,
            book,
            log: reader,
            snapshots,
            inbox,
            done: told,
            hands,
            net,
            listener,
            runtime,
        };
        Ok(Self([core(around)?, machine_thread, disk_thread]))
    }

    fn join(self) {
        for thread in self.0 {
            if thread.join().is_err() {
                crate::fatal("a thread has panicked", &"see above");
            }
        }
    }
}

/// The core that ships.
fn start_driver(around: Around) -> Result<JoinHandle<()>, RunError> {
    let Around { options, recovered, book, log, snapshots, .. } = around;
    let Around { inbox, done, hands, net, listener, runtime, .. } = around;
    let log = ReadAhead::start(log, snapshots, done);
    let node = Node::new(config(&options)?, recovered, clock::now())?;
    let mut driver = Driver::new(node, settings(&options)).expect("no limit of ours is 0");
    driver.recall(book.0, book.1);
    let addresses = net.addresses.clone();
    runtime.spawn(listen(listener, net, hands.incoming.clone()));
    let driver = DriverLoop::new(driver, log, hands, addresses);
    let run = move || driver.run(inbox, &runtime);
    let thread = Builder::new().name("driver".into()).spawn(run);
    thread.map_err(|error| RunError::System("a thread", error))
}

fn config(options: &NodeOptions) -> Result<Config, RunError> {
    let seed = getrandom::u64().map_err(|error| RunError::System("a seed", error.into()))?;
    let config = Config::new(NodeId(options.id), seed);
    Ok(config.with_election_timeout(options.election_timeout()))
}

fn settings(options: &NodeOptions) -> Settings {
    let mut settings = Settings::default();
    settings.frame_bytes = MAX_FRAME as u64 - MAX_HEAD;
    settings.command_bytes = Command::MAX_BYTES;
    settings.snapshot_bytes = options.snapshot_bytes;
    settings.kept_bytes = options.kept_bytes;
    settings.cached_bytes = options.cached_bytes;
    // Whoever has a membership in its log knows where its members are.
    settings.needs_descriptions = true;
    settings
}
