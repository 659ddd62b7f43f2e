//! The cluster under attack: its processes, the proxies between them, the orders to their disks.

use crate::dice::Dice;
use crate::medium::{Orders, crash, mark_of_failure};
use crate::names::{self, SNAPSHOTS};
use crate::node::ORDERS;
use crate::plan::{Base, USUAL};
use crate::proxy::pass_on;
use crate::scene::Scene;
use crate::tally::Count;
use crate::weather::Weather;
use kv::cluster::{Cluster, free_ports, on_loopback};
use kv::driver::REGRESSED;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// How many nodes run; the first three found the cluster.
pub const NODES: u64 = 5;
const FOUNDERS: usize = 3;
/// What every sync takes: so that a kill often comes within one.
const USUAL_SYNC: Duration = Duration::from_millis(2);
/// A process whose sync has failed ends within this time.
const MUST_END: Duration = Duration::from_secs(3);

const LISTENS: Duration = Duration::from_millis(300);

/// The cluster under attack.
#[derive(Debug)]
pub struct Field {
    cluster: Cluster,
    dir: PathBuf,
    dice: Dice,
    /// How frames fare.
    pub weather: Arc<Weather>,
    /// Where the others reach a node.
    pub proxies: BTreeMap<u64, String>,
    down: BTreeSet<u64>,
    held: BTreeSet<u64>,
    /// Whose next sync of what is to fail, and since when the mark of that is there.
    failing: BTreeMap<u64, (Base, Option<Instant>)>,
    /// Up to where what each node says was read, and when.
    read: (BTreeMap<u64, u64>, Instant),
    /// The proxies run here.
    _runtime: Runtime,
}

impl Field {
    /// Nodes that all run, each behind a proxy. Their data is in `dir`.
    ///
    /// # Errors
    ///
    /// As the system says.
    pub fn new(
        dir: &Path,
        seed: u64,
        election_timeout: Duration,
        snapshot_bytes: u64,
    ) -> io::Result<(Self, Scene)> {
        let ports = free_ports(3 * usize::try_from(NODES).expect("a few"))?;
        let members: Vec<_> = (1..=NODES)
            .zip(ports.chunks(3))
            .map(|(id, ports)| on_loopback(id, ports[0], ports[1]))
            .collect();
        let proxies: BTreeMap<_, _> = (1..=NODES)
            .zip(ports.chunks(3))
            .map(|(id, ports)| (id, format!("127.0.0.1:{}", ports[2])))
            .collect();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let weather = Arc::<Weather>::default();
        for member in &members {
            let (at, to) = (&proxies[&member.id], member.address.raft.clone());
            runtime.block_on(pass_on(at, to, Arc::clone(&weather), seed ^ member.id))?;
        }
        let scene = Scene::new(members.iter().map(|m| (m.id, m.address.http.clone())).collect());
        let orders = dir.join("node-{id}.orders").display().to_string();
        let timeout = election_timeout.as_millis().to_string();
        let snapshot_bytes = snapshot_bytes.to_string();
        let arguments = [
            ["--election-timeout-ms", &timeout],
            // Snapshots are taken all the time, so that whoever comes back may need one.
            ["--snapshot-bytes", &snapshot_bytes],
            ["--kept-bytes", "3000"],
            [ORDERS, &orders],
        ];
        let founders = members[..FOUNDERS].to_vec();
        let cluster = Cluster::new(std::env::current_exe()?, dir.to_path_buf(), founders);
        let mut cluster = cluster.with_arguments(&arguments.concat()).behind(proxies.clone());
        members[FOUNDERS..].iter().for_each(|member| cluster.join(member.clone()));
        let (down, held, failing) = Default::default();
        let read = (BTreeMap::new(), Instant::now());
        let dice = Dice::beside(seed, 3000);
        let dir = dir.to_path_buf();
        let mut field = Self {
            cluster,
            dir,
            dice,
            weather,
            proxies,
            down,
            held,
            failing,
            read,
            _runtime: runtime,
        };
        for id in 1..=NODES {
            field.start(id, &scene)?;
        }
        Ok((field, scene))
    }

    /// The nodes that may be met by one more trouble: they are neither down nor held, and their
    /// disks are to fail nothing.
    pub fn sound(&self) -> BTreeSet<u64> {
        let is_sound = |id: &u64| {
            !self.down.contains(id) && !self.held.contains(id) && !self.failing.contains_key(id)
        };
        (1..=NODES).filter(is_sound).collect()
    }

    /// Kills a node: of what it had not synced a part is lost.
    ///
    /// # Errors
    ///
    /// As the system says.
    pub fn kill(&mut self, id: u64, scene: &Scene) -> io::Result<()> {
        if self.down.contains(&id) {
            return Ok(());
        }
        self.cluster.kill(id)?;
        scene.tally.add(Count::Kill, 1);
        self.lose(id, scene)
    }

    fn lose(&mut self, id: u64, scene: &Scene) -> io::Result<()> {
        scene.set_up(id, false);
        self.down.insert(id);
        self.held.remove(&id);
        self.failing.remove(&id);
        for base in [Base::Log, Base::State] {
            let path = self.dir.join(format!("node-{id}")).join(base.file());
            let torn = crash(&path, &mut self.dice)?;
            scene.tally.add(Count::Torn, u64::from(torn.kept < torn.unsynced));
        }
        let snapshots = self.dir.join(format!("node-{id}")).join(SNAPSHOTS);
        let torn = names::crash(&snapshots, &mut self.dice)?;
        scene.tally.add(Count::TornSnapshots, u64::from(torn.kept < torn.unsynced));
        Ok(())
    }

    /// Starts a node that is down.
    ///
    /// # Errors
    ///
    /// As the system says.
    pub fn start(&mut self, id: u64, scene: &Scene) -> io::Result<()> {
        let mark = mark_of_failure(&self.orders(id));
        if mark.exists() {
            fs::remove_file(mark)?;
        }
        fs::create_dir_all(&self.dir)?;
        Orders { slow: USUAL_SYNC, fail: None }.give(&self.orders(id))?;
        self.cluster.start(id)?;
        self.down.remove(&id);
        scene.set_up(id, true);
        Ok(())
    }

    /// Holds a node, or lets it go on.
    ///
    /// # Errors
    ///
    /// As the system says.
    pub fn hold(&mut self, id: u64, holds: bool, scene: &Scene) -> io::Result<()> {
        if self.down.contains(&id) || holds == self.held.contains(&id) {
            return Ok(());
        }
        if holds {
            self.held.insert(id);
            scene.tally.add(Count::Hold, 1);
        } else {
            self.held.remove(&id);
            // It could not end while it was held.
            if let Some((_, since)) = self.failing.get_mut(&id) {
                *since = None;
            }
        }
        scene.set_up(id, !holds);
        self.cluster.hold(id, holds)
    }

    /// The syncs of a node take so much longer, or as long as usual.
    ///
    /// # Errors
    ///
    /// As the system says.
    pub fn slow(&self, id: u64, slow: Option<Duration>) -> io::Result<()> {
        if self.down.contains(&id) || self.failing.contains_key(&id) {
            return Ok(());
        }
        let slow = slow.unwrap_or(USUAL_SYNC);
        Orders { slow, fail: None }.give(&self.orders(id))
    }

    /// The next sync of this fails at a node.
    ///
    /// # Errors
    ///
    /// As the system says.
    pub fn fail(&mut self, id: u64, base: Base) -> io::Result<()> {
        self.failing.insert(id, (base, None));
        let fail = Some(base.file().to_string());
        Orders { slow: USUAL_SYNC, fail }.give(&self.orders(id))
    }

    /// Nobody has synced what was to fail: it fails no more.
    ///
    /// # Errors
    ///
    /// As the system says.
    pub fn spare(&mut self, id: u64) -> io::Result<()> {
        if self.failing.contains_key(&id) && !self.is_marked(id) {
            self.failing.remove(&id);
            self.slow(id, None)?;
        }
        Ok(())
    }

    /// Whether a sync of a node has failed and the node has not ended yet.
    pub fn is_ending(&self) -> bool {
        (1..=NODES).any(|id| !self.down.contains(&id) && self.is_marked(id))
    }

    /// Looks after the processes: which have ended by themselves? One whose sync has failed has to,
    /// and any other one has not. Gives the former.
    ///
    /// # Errors
    ///
    /// As the system says.
    pub fn watch(&mut self, scene: &Scene) -> io::Result<Vec<u64>> {
        self.listen(scene)?;
        let mut failed = Vec::new();
        for id in 1..=NODES {
            if self.down.contains(&id) {
                continue;
            }
            let is_marked = self.is_marked(id);
            if let Some(status) = self.cluster.ended(id)? {
                if is_marked {
                    let base = self.failing.get(&id).map_or(Base::Log, |(base, _)| *base);
                    let count = match base {
                        Base::Log => Count::FailedLog,
                        Base::State => Count::FailedState,
                        Base::Snapshots => Count::FailedSnapshot,
                    };
                    scene.tally.add(count, 1);
                    failed.push(id);
                } else {
                    let what = format!("node {id} has ended by itself ({status})");
                    scene.fault(what, self.cluster.end_of_log(id));
                }
                self.cluster.kill(id)?;
                self.lose(id, scene)?;
            } else if is_marked && !self.held.contains(&id) {
                let since = self
                    .failing
                    .entry(id)
                    .or_insert((Base::Log, None))
                    .1
                    .get_or_insert_with(Instant::now);
                if since.elapsed() > MUST_END {
                    let what = format!("node {id} lives on after a sync that failed");
                    scene.fault(what, self.cluster.end_of_log(id));
                }
            }
        }
        Ok(failed)
    }

    /// Reads what nodes say, now and then: a leader that finds that a peer has lost what it had
    /// acknowledged says so, and its disk has not kept what it said.
    fn listen(&mut self, scene: &Scene) -> io::Result<()> {
        if self.read.1.elapsed() < LISTENS {
            return Ok(());
        }
        self.read.1 = Instant::now();
        for id in 1..=NODES {
            let from = self.read.0.entry(id).or_default();
            let mut log = File::open(self.cluster.log(id))?;
            log.seek(SeekFrom::Start(*from))?;
            let mut said = Vec::new();
            log.read_to_end(&mut said)?;
            // What is not a whole line yet is read again.
            let whole = said.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            *from += whole as u64;
            let said = String::from_utf8_lossy(&said[..whole]);
            if let Some(line) = said.lines().find(|line| line.contains(REGRESSED)) {
                let what = format!("node {id} says that a peer lost what it had acknowledged");
                scene.fault(what, line.to_string());
            }
        }
        Ok(())
    }

    /// The frames fare well, nobody is held, all disks are well. Who is down is not started.
    ///
    /// # Errors
    ///
    /// As the system says.
    pub fn calm(&mut self, scene: &Scene) -> io::Result<()> {
        self.weather.clear();
        for id in 1..=NODES {
            self.hold(id, false, scene)?;
            self.spare(id)?;
            self.slow(id, None)?;
        }
        Ok(())
    }

    /// The frames fare as they usually do.
    pub fn usual_weather(&self) {
        self.weather.set(USUAL);
    }

    /// How often a node has sent a snapshot to one that was behind, and it arrived.
    pub fn snapshots_sent(&self) -> u64 {
        let sent = |id| {
            let log = fs::read(self.cluster.log(id)).unwrap_or_default();
            let log = String::from_utf8_lossy(&log).into_owned();
            let lines = log.lines().filter(|line| line.contains("a snapshot was sent"));
            lines.filter(|line| line.contains("outcome=Done")).count() as u64
        };
        (1..=NODES).map(sent).sum()
    }

    fn is_marked(&self, id: u64) -> bool {
        mark_of_failure(&self.orders(id)).exists()
    }

    fn orders(&self, id: u64) -> PathBuf {
        self.dir.join(format!("node-{id}.orders"))
    }
}
