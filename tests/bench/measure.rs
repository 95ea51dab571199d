//! What is measured of a piece of work: processor time, time on the clock, and memory.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// Processor time that all threads of this process have used, in user and in system mode.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

/// The processor time and the time on the clock of several runs of the same work.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    cpu: Vec<Duration>,
    wall: Vec<Duration>,
}

impl Runs {
    /// Runs the work once and notes what it took; its result is dropped outside of the measured time.
    pub(crate) async fn measure<T>(&mut self, work: impl Future<Output = T>) -> T {
        let (cpu, wall) = (processor_time(), Instant::now());
        let result = work.await;
        self.wall.push(wall.elapsed());
        self.cpu.push(processor_time() - cpu);
        result
    }

    /// Least, median and most milliseconds.
    pub(crate) fn summary(&self) -> Value {
        json!({ "cpu_ms": spread(&self.cpu), "wall_ms": spread(&self.wall), "runs": self.cpu.len() })
    }
}

fn spread(times: &[Duration]) -> Value {
    let mut sorted = times.to_vec();
    sorted.sort();
    let ms = |time: &Duration| (time.as_secs_f64() * 100_000.0).round() / 100.0;
    json!({
        "min": sorted.first().map(ms),
        "median": sorted.get(sorted.len() / 2).map(ms),
        "max": sorted.last().map(ms),
    })
}

/// Memory of this process in MB: what is resident now, and the most there was since the last
/// [`forget_peak`].
pub(crate) fn memory() -> Value {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        let kb: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        (kb / 102.4).round() / 10.0
    };
    json!({ "resident_mb": field("VmRSS:"), "peak_mb": field("VmHWM:") })
}

/// Begins to look for the most memory anew.
pub(crate) fn forget_peak() {
    // Where the kernel does not allow it the peak is that of the whole run, which is never too low.
    let _ignored = std::fs::write("/proc/self/clear_refs", "5");
}

/// The allocator of the program, with a count of what this thread asked for.
#[derive(Debug)]
pub(crate) struct Counted;

thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

/// How often this thread has asked for memory.
pub(crate) fn allocations() -> u64 {
    ASKED.get()
}

fn count() {
    // A thread on its way out has no cell any more.
    let _gone = ASKED.try_with(|asked| asked.set(asked.get() + 1));
}

#[expect(
    unsafe_code,
    reason = "every call goes on as it came to an allocator that keeps the contract"
)]
// SAFETY: nothing but a counter is added, and that asks for no memory.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { mimalloc::MiMalloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { mimalloc::MiMalloc.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { mimalloc::MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { mimalloc::MiMalloc.realloc(pointer, layout, size) }
    }
}
