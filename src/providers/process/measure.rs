//! What replicas use, read from `/proc`: the replica's own process and all its descendants. Blocks its
//! thread.
//!
//! Processor time is user and system time of the live processes and of the children they waited for
//! (`proc_pid_stat(5)`, fields 14 to 17); memory is what is resident (field 24), so that what processes share
//! counts for each. A descendant that outlived its parent is not found any more.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::folders::{read_record, sub_folders};
use super::identity::ProcessIdentity;
use super::layout::Layout;
use super::observe::ObserveError;
use super::record::{FileError, State};
use crate::model::{OwnerId, ProviderName, Region, ReplicaKey};
use crate::providers::Usage;

/// Time between two readings that make a rate: the kernel counts in hundredths of a second, so that less would
/// be noise.
const BETWEEN_MIN: Duration = Duration::from_millis(500);

/// The readings before, by replica. A run of a replica is told by its process.
#[derive(Debug, Default)]
pub(super) struct Readings(Mutex<HashMap<ReplicaKey, Reading>>);

/// One reading of one run.
#[derive(Debug, Clone)]
struct Reading {
    process: ProcessIdentity,
    cpu_ticks: u64,
    at: Instant,
    /// Cores, from the reading before to this one.
    rate: Option<f64>,
}

/// A process, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    parent: i32,
    start_ticks: u64,
    cpu_ticks: u64,
    resident_pages: u64,
}

/// Why replicas cannot be measured.
#[derive(Debug, thiserror::Error)]
pub(super) enum MeasureError {
    #[error(transparent)]
    Observe(#[from] ObserveError),
    #[error("read the processes in /proc")]
    Processes(#[source] io::Error),
}

/// What every replica of one owner in one region uses, sorted by key, without those that do not run.
pub(super) fn measure(
    layout: &Layout,
    readings: &Readings,
    provider: &ProviderName,
    owner: &OwnerId,
    region: &Region,
    now: jiff::Timestamp,
) -> Result<Vec<Usage>, MeasureError> {
    let running = running(layout, provider, owner, region)?;
    if running.is_empty() {
        readings.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
        return Ok(Vec::new());
    }
    let processes = processes().map_err(MeasureError::Processes)?;
    let at = Instant::now();
    let children = children_of(&processes);
    // The map is whole after every statement, so a panic elsewhere does not spoil it.
    let mut before = readings.0.lock().unwrap_or_else(PoisonError::into_inner);
    let mut seen = HashMap::new();
    let mut usages = Vec::new();
    for (key, process) in running {
        let is_the_same = |p: &&Process| p.start_ticks == process.start_ticks;
        if processes.get(&process.pid).filter(is_the_same).is_none() {
            continue;
        }
        let (cpu_ticks, pages) = sum(process.pid, &processes, &children);
        let earlier = before.get(&key).filter(|reading| reading.process == process);
        let reading = next(earlier, Reading { process, cpu_ticks, at, rate: None });
        usages.push(Usage {
            key: key.clone(),
            cpu_cores: reading.rate,
            memory_bytes: Some(pages.saturating_mul(rustix::param::page_size() as u64)),
            at: now,
        });
        seen.insert(key, reading);
    }
    *before = seen;
    usages.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(usages)
}

/// The replicas that run, each with its process.
fn running(
    layout: &Layout,
    provider: &ProviderName,
    owner: &OwnerId,
    region: &Region,
) -> Result<Vec<(ReplicaKey, ProcessIdentity)>, ObserveError> {
    let mut running = Vec::new();
    for (_, service) in sub_folders(&layout.services(provider, owner))? {
        for (_, folder) in sub_folders(&Layout::ordinals(&service, region))? {
            let Some(record) = read_record(&folder)? else { continue };
            let state = match State::read(&folder) {
                Ok(state) => state,
                // Observing reports what matters of it.
                Err(FileError::Malformed { .. }) => None,
                Err(error) => return Err(error.into()),
            };
            if let Some(child) = state.and_then(|state| state.child) {
                running.push((record.key(), child));
            }
        }
    }
    Ok(running)
}

/// What is kept of a reading: with a rate, if there is one.
fn next(earlier: Option<&Reading>, mut reading: Reading) -> Reading {
    let Some(earlier) = earlier else { return reading };
    let between = reading.at.saturating_duration_since(earlier.at);
    if between < BETWEEN_MIN {
        return earlier.clone();
    }
    // The sum falls when a descendant ends whose parent did not wait for it.
    let ticks = reading.cpu_ticks.saturating_sub(earlier.cpu_ticks) as f64;
    let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
    reading.rate = Some(ticks / ticks_per_second / between.as_secs_f64());
    reading
}

fn children_of(processes: &HashMap<i32, Process>) -> HashMap<i32, Vec<i32>> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for (pid, process) in processes {
        children.entry(process.parent).or_default().push(*pid);
    }
    children
}

/// Processor time and resident pages of a process and its descendants.
fn sum(
    root: i32,
    processes: &HashMap<i32, Process>,
    children: &HashMap<i32, Vec<i32>>,
) -> (u64, u64) {
    let (mut cpu_ticks, mut pages) = (0u64, 0u64);
    // A table read while processes come and go may have a ring in it: nobody is counted twice.
    let mut counted = std::collections::HashSet::new();
    let mut left = vec![root];
    while let Some(pid) = left.pop() {
        let Some(process) = processes.get(&pid) else { continue };
        if counted.insert(pid) {
            cpu_ticks = cpu_ticks.saturating_add(process.cpu_ticks);
            pages = pages.saturating_add(process.resident_pages);
            left.extend(children.get(&pid).into_iter().flatten());
        }
    }
    (cpu_ticks, pages)
}

/// Every process of this host.
fn processes() -> io::Result<HashMap<i32, Process>> {
    let mut processes = HashMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        // One that ended meanwhile uses nothing.
        let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        processes.extend(parse(&text).map(|process| (pid, process)));
    }
    Ok(processes)
}

/// Reads fields 4, 14 to 17, 22 and 24; the name before them may hold spaces and brackets.
fn parse(text: &str) -> Option<Process> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    // The first of these is field 3.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let cpu_ticks = (14..=17).try_fold(0u64, |sum, field| Some(sum.saturating_add(number(field)?)));
    Some(Process {
        parent: fields.get(1)?.parse().ok()?,
        start_ticks: number(22)?,
        cpu_ticks: cpu_ticks?,
        resident_pages: number(24)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "7 (a) R 1 2) S 3 7 7 0 -1 4194304 1 0 0 0 20 4 2 1 20 0 1 0 9876 123456 42 18446744073709551615";

    #[test]
    fn a_process_and_its_descendants_are_summed_once() {
        let one = parse(STAT).unwrap();
        let expected = Process { parent: 3, start_ticks: 9876, cpu_ticks: 27, resident_pages: 42 };
        assert_eq!(one, expected);
        let with = |parent| Process { parent, ..one };
        // 5 → 6 → 7, 8 is somebody else's, and 9 and 10 are a ring.
        let processes =
            [(5, with(1)), (6, with(5)), (7, with(6)), (8, with(1)), (9, with(10)), (10, with(9))];
        let processes = HashMap::from(processes);
        let children = children_of(&processes);
        assert_eq!(sum(5, &processes, &children), (81, 126));
        assert_eq!(sum(9, &processes, &children), (54, 84));
        assert_eq!(sum(4, &processes, &children), (0, 0));
    }

    #[test]
    fn two_readings_make_a_rate_and_two_at_once_do_not() {
        let process = ProcessIdentity { pid: 5, start_ticks: 1, boot_id: String::new() };
        let begun = Instant::now();
        let reading = |cpu_ticks, ms| Reading {
            process: process.clone(),
            cpu_ticks,
            at: begun + Duration::from_millis(ms),
            rate: None,
        };
        let ticks = rustix::param::clock_ticks_per_second();
        let first = next(None, reading(0, 0));
        assert_eq!(first.rate, None);
        let second = next(Some(&first), reading(ticks, 2000));
        assert_eq!(second.rate, Some(0.5));
        let at_once = next(Some(&second), reading(ticks * 9, 2100));
        assert_eq!((at_once.rate, at_once.cpu_ticks), (Some(0.5), ticks));
        assert_eq!(next(Some(&second), reading(0, 4000)).rate, Some(0.0));
    }
}
