use peers::cluster::{Blind,Cluster};
use peers::measure::time;
fn run<C: Cluster>(name:&str, voters:usize,b:usize,n:usize,size:usize){
  let mut c=C::new(voters);
  let before=c.counts();
  let mut seq=0u64;
  let batches:Vec<Vec<C::Command>>=(0..n).map(|_|(0..b).map(|_|{let mut v=vec![0u8;size];v[..8].copy_from_slice(&seq.to_le_bytes());seq+=1;C::command(&v)}).collect()).collect();
  let t=time(||{for x in batches{c.commit(x)}});
  for node in 0..voters{let mut s=0u64;c.visit(node,|x|{assert_eq!(x[..8],s.to_le_bytes());s+=1});assert_eq!(s,seq);}
  let k=c.counts().since(before);
  println!("{name:10} B={b} {} ns/entry turns {} msgs {}", t/(b*n) as u64, k.turns as f64/n as f64, k.messages as f64/n as f64);
}
fn main(){
 for _ in 0..3{ for (b,n) in [(1,20000),(16,8000),(256,800)]{
  run::<peers::floor::Floor>("floor",3,b,n,16);
  run::<peers::floor::Messages>("messages",3,b,n,16);
  run::<peers::ours::Ours<Blind>>("ours",3,b,n,16);
  run::<peers::no_raft::NoRaft<Blind>>("noraft",3,b,n,16);
  run::<peers::raft_rs::RaftRs<Blind>>("raft",3,b,n,16);
 }}
}
