//! Blocks: the samples of many series over some time, in one run of bytes. Pure.
//!
//! One row per sample would touch a page of the disk for every series at every tick. What one tick brings is a
//! block for 1,024 series, and what is read more often than written is a block for 64, so that reading one
//! series back costs at most 64 times its bytes. Each column starts with its length, so that the others are
//! skipped unread.

use std::collections::BTreeMap;

use super::codec::{Bytes, DamagedBlock, VALUE_TAG_MAX, put_signed, put_value, put_varint};
use super::sample::{Point, Reading, Resolution};
use crate::model::Moment;

/// Series in a block that was rolled up: reading one costs some tens of kilobytes for each hour or day.
pub(super) const GROUP_SERIES: i64 = 64;
/// Series in a block of one batch: each block costs three pages to write, so it should fill some itself. A
/// multiple of [`GROUP_SERIES`].
pub(super) const WIDE_SERIES: i64 = 1_024;

/// A recorded reading of a series that is known from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RawPoint {
    /// When.
    pub(super) at: Moment,
    /// What.
    pub(super) reading: Reading,
}

/// What each series of a group has, by its place in the group.
pub(super) type Columns<T> = BTreeMap<u16, Vec<T>>;

const ABSENT: u8 = 0xf1;
const STALE: u8 = 0xf2;
const ERROR: u8 = 0xf3;

/// Writes readings, in order of time, of a block that begins at `start`.
pub(super) fn put_raw(columns: &Columns<RawPoint>, start: Moment) -> Vec<u8> {
    let mut out = Vec::new();
    let mut column = Vec::new();
    let mut before = 0;
    for (slot, points) in columns {
        let (mut at, mut step, mut value) = (start.0, 0i64, 0.0f64);
        for point in points {
            let next = point.at.0.wrapping_sub(at);
            put_signed(&mut column, next.wrapping_sub(step));
            (at, step) = (point.at.0, next);
            match point.reading {
                Reading::Value(next) => {
                    put_value(&mut column, next, value);
                    value = next;
                }
                Reading::Absent => column.push(ABSENT),
                Reading::Stale => column.push(STALE),
                Reading::Error => column.push(ERROR),
            }
        }
        put_column(&mut out, slot - before, &mut column);
        before = *slot;
    }
    out
}

/// Adds the readings of a block to the columns; of one column only if `only` names it.
///
/// # Errors
/// [`DamagedBlock`] when the bytes are not a block.
pub(super) fn read_raw(
    body: &[u8],
    start: Moment,
    only: Option<u16>,
    into: &mut Columns<RawPoint>,
) -> Result<(), DamagedBlock> {
    each_column(body, only, |slot, mut bytes| {
        let points = into.entry(slot).or_default();
        let (mut at, mut step, mut value) = (start.0, 0i64, 0.0f64);
        while !bytes.is_empty() {
            step = step.wrapping_add(bytes.signed()?);
            at = at.wrapping_add(step);
            let reading = match bytes.byte()? {
                ABSENT => Reading::Absent,
                STALE => Reading::Stale,
                ERROR => Reading::Error,
                tag if tag <= VALUE_TAG_MAX => {
                    value = bytes.value_after(tag, value)?;
                    Reading::Value(value)
                }
                _ => return Err(DamagedBlock),
            };
            points.push(RawPoint { at: Moment(at), reading });
        }
        Ok(())
    })
}

/// Writes buckets, in order of time, of a block that begins at `start`.
pub(super) fn put_points(
    columns: &Columns<Point>,
    start: Moment,
    resolution: Resolution,
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut column = Vec::new();
    let mut before = 0;
    for (slot, points) in columns {
        let (mut place, mut mean) = (0i64, 0.0f64);
        for point in points {
            let next = (point.at.0 - start.0) / resolution.step_ms();
            put_signed(&mut column, next - place);
            place = next;
            let is_flat = [point.min, point.max, point.last].iter().all(|v| *v == point.mean);
            put_varint(&mut column, u64::from(point.count) << 1 | u64::from(is_flat));
            put_value(&mut column, point.mean, mean);
            mean = point.mean;
            if !is_flat {
                for value in [point.min, point.max, point.last] {
                    put_value(&mut column, value, point.mean);
                }
            }
        }
        put_column(&mut out, slot - before, &mut column);
        before = *slot;
    }
    out
}

/// Adds the buckets of a block to the columns; of one column only if `only` names it.
///
/// # Errors
/// [`DamagedBlock`] when the bytes are not a block.
pub(super) fn read_points(
    body: &[u8],
    start: Moment,
    resolution: Resolution,
    only: Option<u16>,
    into: &mut Columns<Point>,
) -> Result<(), DamagedBlock> {
    each_column(body, only, |slot, mut bytes| {
        let points = into.entry(slot).or_default();
        let (mut place, mut mean) = (0i64, 0.0f64);
        while !bytes.is_empty() {
            place = place.wrapping_add(bytes.signed()?);
            let count = bytes.varint()?;
            mean = bytes.value(mean)?;
            let (mut min, mut max, mut last) = (mean, mean, mean);
            if count & 1 == 0 {
                min = bytes.value(mean)?;
                max = bytes.value(mean)?;
                last = bytes.value(mean)?;
            }
            let at = Moment(start.0.wrapping_add(place.wrapping_mul(resolution.step_ms())));
            let count = u32::try_from(count >> 1).map_err(|_| DamagedBlock)?;
            points.push(Point { at, count, min, max, mean, last });
        }
        Ok(())
    })
}

fn put_column(out: &mut Vec<u8>, slots_on: u16, column: &mut Vec<u8>) {
    put_varint(out, u64::from(slots_on));
    put_varint(out, column.len() as u64);
    out.append(column);
}

fn each_column(
    body: &[u8],
    only: Option<u16>,
    mut read: impl FnMut(u16, Bytes<'_>) -> Result<(), DamagedBlock>,
) -> Result<(), DamagedBlock> {
    let mut bytes = Bytes(body);
    let mut slot = 0u16;
    while !bytes.is_empty() {
        let on = u16::try_from(bytes.varint()?).map_err(|_| DamagedBlock)?;
        slot = slot.checked_add(on).ok_or(DamagedBlock)?;
        let length = bytes.varint()?;
        let column = bytes.take(length)?;
        if only.is_none_or(|only| only == slot) {
            read(slot, Bytes(column))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Moment = Moment(1_700_000_000_000);

    fn reading() -> impl Strategy<Value = Reading> {
        prop_oneof![
            8 => prop::num::f64::NORMAL.prop_map(Reading::Value),
            1 => Just(Reading::Value(0.0)),
            1 => Just(Reading::Absent),
            1 => Just(Reading::Stale),
            1 => Just(Reading::Error),
        ]
    }

    proptest! {
        #[test]
        fn readings_are_read_as_they_were_written(
            columns in prop::collection::btree_map(
                0u16..1_024, prop::collection::vec((0i64..3_600_000, reading()), 1..20), 0..5),
            only in 0u16..1_024,
        ) {
            let columns: Columns<RawPoint> = columns.into_iter().map(|(slot, points)| {
                let points = points.into_iter();
                (slot, points.map(|(ms, reading)| RawPoint { at: Moment(START.0 + ms), reading }).collect())
            }).collect();
            let body = put_raw(&columns, START);
            let mut read = Columns::new();
            prop_assert_eq!(read_raw(&body, START, None, &mut read), Ok(()));
            prop_assert_eq!(&read, &columns);
            let mut one = Columns::new();
            prop_assert_eq!(read_raw(&body, START, Some(only), &mut one), Ok(()));
            prop_assert_eq!(one.get(&only), columns.get(&only));
            prop_assert!(one.len() <= 1);
        }

        #[test]
        fn buckets_are_read_as_they_were_written(
            points in prop::collection::vec(
                (0i64..60, 1u32..100, any::<[i32; 4]>(), any::<bool>()), 1..60),
        ) {
            let points = points.into_iter().map(|(minute, count, [mean, min, max, last], is_flat)| {
                let value = |n: i32| if is_flat { f64::from(mean) } else { f64::from(n) / 3.0 };
                let at = Moment(START.0 + minute * 60_000);
                Point { at, count, min: value(min), max: value(max), mean: value(mean), last: value(last) }
            }).collect();
            let columns = Columns::from([(9, points)]);
            let body = put_points(&columns, START, Resolution::Minute);
            let mut read = Columns::new();
            prop_assert_eq!(read_points(&body, START, Resolution::Minute, None, &mut read), Ok(()));
            prop_assert_eq!(read, columns);
        }

        #[test]
        fn damaged_blocks_are_an_error_and_never_a_panic(body: Vec<u8>) {
            let (mut raw, mut points) = (Columns::new(), Columns::new());
            let _ = read_raw(&body, START, None, &mut raw);
            let _ = read_points(&body, START, Resolution::Hour, None, &mut points);
        }
    }
}
