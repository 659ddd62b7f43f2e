//! Nodes as processes: started, stopped, killed and held up. For `--dev`, tests and attacks.

use crate::address::{Address, Member};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The processes of a cluster. They end with it, however it ends.
#[derive(Debug)]
pub struct Cluster {
    binary: PathBuf,
    dir: PathBuf,
    /// The nodes that were ever a part of it, and where they are.
    members: Vec<Member>,
    /// How many of the first are the voters of the new cluster; the others join.
    founders: usize,
    /// Where nodes are told that others are, if not there where they are.
    behind: BTreeMap<u64, String>,
    /// What each node is told besides.
    arguments: Vec<String>,
    running: BTreeMap<u64, Child>,
    /// Who was started before: whoever comes back must find its disk.
    started: BTreeSet<u64>,
}

/// A member on loopback, at these ports.
pub fn on_loopback(id: u64, raft: u16, http: u16) -> Member {
    let at = |port: u16| format!("127.0.0.1:{port}");
    Member { id, address: Address { raft: at(raft), http: at(http) } }
}

/// Ports on loopback that nobody uses now, and from which no system takes one for a connection out:
/// a node that is down finds its own again.
///
/// # Errors
///
/// There are none.
pub fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    let (mut ports, mut held) = (Vec::new(), Vec::new());
    for _ in 0..100 * count {
        let port = 10_000 + u16::try_from(getrandom::u32()? % 20_000).expect("it fits");
        held.extend(TcpListener::bind(("127.0.0.1", port)).inspect(|_| ports.push(port)));
        if ports.len() == count {
            return Ok(ports);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

impl Cluster {
    /// A new cluster of these members, none of which runs. Each has a folder in `dir`.
    pub fn new(binary: PathBuf, dir: PathBuf, members: Vec<Member>) -> Self {
        let founders = members.len();
        let (behind, arguments, running, started) = Default::default();
        Self { binary, dir, members, founders, behind, arguments, running, started }
    }

    /// What each node is told besides; `{id}` stands for its id.
    #[must_use]
    pub fn with_arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments = arguments.iter().map(ToString::to_string).collect();
        self
    }

    /// To the others a node is behind this address: that of a proxy which passes on what they say.
    #[must_use]
    pub fn behind(mut self, proxies: BTreeMap<u64, String>) -> Self {
        self.behind = proxies;
        self
    }

    /// The nodes that were ever a part of it.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Where the HTTP of a node is.
    ///
    /// # Panics
    ///
    /// There is no such node.
    pub fn http(&self, id: u64) -> &str {
        let member = self.members.iter().find(|member| member.id == id);
        &member.expect("a member").address.http
    }

    /// A node that is going to join. It is started as the others are.
    pub fn join(&mut self, member: Member) {
        self.members.push(member);
    }

    /// The arguments with which a node is started: `first` if it finds nothing.
    pub fn arguments_of(&self, id: u64, first: bool) -> Vec<String> {
        let names = self.members.iter().map(|Member { id: of, address }| {
            format!("{of}={}/{}", self.behind.get(of).unwrap_or(&address.raft), address.http)
        });
        let founds = self.members[..self.founders].iter().any(|member| member.id == id);
        // A founder's list is that of the founders, whoever has joined since.
        let names: Vec<_> = names.take(if founds { self.founders } else { usize::MAX }).collect();
        let dir = self.dir.join(format!("node-{id}")).display().to_string();
        let fixed = ["--id", &id.to_string(), "--dir", &dir, "--members", &names.join(",")]
            .map(String::from);
        let how = first.then(|| if founds { "--init" } else { "--join" }.to_string());
        let own = self.members.iter().find(|member| member.id == id && !self.behind.is_empty());
        let listen = own.map(|own| ["--listen".to_string(), own.address.raft.clone()]);
        let more = self.arguments.iter().map(|more| more.replace("{id}", &id.to_string()));
        fixed.into_iter().chain(how).chain(listen.into_iter().flatten()).chain(more).collect()
    }

    /// Starts a node, for the first time or again. Its log goes to `node-ID.log`.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn start(&mut self, id: u64) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        let log = OpenOptions::new().create(true).append(true).open(self.log(id));
        let log = LogFile(log.ok());
        let first = self.started.insert(id) && !self.dir.join(format!("node-{id}")).exists();
        let mut command = Command::new(&self.binary);
        command
            .args(self.arguments_of(id, first))
            .arg("--tied")
            .stdin(Stdio::piped())
            .stdout(log.try_clone_or_null())
            .stderr(log.try_clone_or_null())
            // Ctrl-C reaches who has started the cluster, and he stops it in order.
            .process_group(0);
        self.running.insert(id, command.spawn()?);
        Ok(())
    }

    /// The nodes that were started and have not ended by this cluster's doing.
    pub fn running(&self) -> impl Iterator<Item = u64> + '_ {
        self.running.keys().copied()
    }

    /// The process of a node.
    pub fn pid(&self, id: u64) -> Option<u32> {
        self.running.get(&id).map(Child::id)
    }

    /// How a node has ended by itself, if it has.
    ///
    /// # Errors
    ///
    /// As the system says.
    pub fn ended(&mut self, id: u64) -> io::Result<Option<ExitStatus>> {
        self.running.get_mut(&id).map_or(Ok(None), Child::try_wait)
    }

    /// Whether a node takes connections for HTTP.
    pub fn answers(&self, id: u64) -> bool {
        TcpStream::connect(self.http(id)).is_ok()
    }

    /// Kills a node, as a power cut of its process does.
    ///
    /// # Errors
    ///
    /// As the system says.
    pub fn kill(&mut self, id: u64) -> io::Result<()> {
        let Some(mut child) = self.running.remove(&id) else { return Ok(()) };
        child.kill()?;
        child.wait().map(drop)
    }

    /// Holds a node up (`SIGSTOP`), or lets it go on (`SIGCONT`).
    ///
    /// # Errors
    ///
    /// As the system says.
    pub fn hold(&self, id: u64, holds: bool) -> io::Result<()> {
        self.signal(id, if holds { Signal::STOP } else { Signal::CONT })
    }

    /// Stops a node in order; kills it if that takes longer than `patience`. Whether it ended well.
    ///
    /// # Errors
    ///
    /// As the system says.
    pub fn stop(&mut self, id: u64, patience: Duration) -> io::Result<bool> {
        self.signal(id, Signal::TERM)?;
        let Some(mut child) = self.running.remove(&id) else { return Ok(true) };
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if let Some(status) = child.try_wait()? {
                return Ok(status.success());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        child.kill()?;
        child.wait()?;
        Ok(false)
    }

    fn signal(&self, id: u64, signal: Signal) -> io::Result<()> {
        let pid = self.running.get(&id).and_then(|child| i32::try_from(child.id()).ok());
        let pid = pid.and_then(Pid::from_raw);
        pid.map_or(Ok(()), |pid| Ok(kill_process(pid, signal)?))
    }

    /// Where a node's log goes: what it says.
    pub fn log(&self, id: u64) -> PathBuf {
        self.dir.join(format!("node-{id}.log"))
    }

    /// The end of what a node has said.
    pub fn end_of_log(&self, id: u64) -> String {
        let log = fs::read(self.log(id)).unwrap_or_default();
        let from = log.len().saturating_sub(2000);
        String::from_utf8_lossy(&log[from..]).into_owned()
    }

    /// Where the data and the logs are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            // It may have ended by itself.
            _ = child.kill();
            _ = child.wait();
        }
    }
}

/// Where a process writes what it says, if there is room for that.
struct LogFile(Option<File>);

impl LogFile {
    fn try_clone_or_null(&self) -> Stdio {
        let file = self.0.as_ref().and_then(|file| file.try_clone().ok());
        file.map_or_else(Stdio::null, Stdio::from)
    }
}
