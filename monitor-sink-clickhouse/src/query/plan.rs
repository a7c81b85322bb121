//! Where an answer is read from: a pure function of the question, what is known of the rollups, and how much there is to read.
//!
//! ```text
//! little to read                          the events, all of them
//! values, over dimensions of a rollup     rollup_hours, _routes, _clients or _targets, their totals, and the events of the times it does not hold
//! visitors and sessions, where exact      rollup_sessions, whole or a sample, and the events of the times it does not hold
//! all else about errors                   rollup_sample, which holds all of them, and the events of the times it does not hold
//! all else                                a sample of the visitors: rollup_sample and these events, or the events alone
//! ```
//!
//! A question can be divided: each measure goes where it is cheapest, and the parts are put together by their groups.

use std::{collections::BTreeMap, ops::Range};

use monitor_core::{
    Kind,
    query::{Field, Filter, Measure, Op, RetentionQuery, Sampling},
};

use super::{
    filter::{From, Selection, promoted},
    known::Known,
    raw::Sample,
    trust,
};
use crate::{
    calendar::{DAY, Date, HOUR},
    rollup::{SAMPLED, TARGETED, UNSAMPLED},
};

/// Rows of `rollup_sessions` of which no sample is taken, however little is quick enough: too few visitors would be left.
const FEW_SESSIONS: u64 = 20_000;
/// Fewer days of a month are read from the tables by day.
const FEWEST_OF_MONTH: usize = 3;

/// How much is quick enough, in rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Events up to which all are read.
    few_events: u64,
    /// Events up to which one table is read sooner than the rollup of samples and the rest.
    very_few_events: u64,
    /// Events a sample is made of.
    sample_events: u64,
    /// Events a sample for funnels, paths and retention is made of: putting a visitor's events in order takes longer than reading them.
    sample_journeys: u64,
    /// Rows of `rollup_targets` up to which they are read.
    few_targets: u64,
    /// Rows of `rollup_sessions` up to which all are read: they are few bytes.
    few_sessions: u64,
    /// Rows of `rollup_sessions` a sample is made of.
    sample_sessions: u64,
}

impl Limits {
    /// By the number of events that may be read for any question.
    pub(super) fn new(quick: u64) -> Limits {
        let times = |n: u64| quick.saturating_mul(n).max(1);
        Limits {
            few_events: quick,
            very_few_events: quick / 10,
            sample_events: times(1),
            sample_journeys: (quick / 2).max(1),
            few_targets: times(5),
            few_sessions: (times(3) / 2).max(FEW_SESSIONS),
            // Distinct ones are put into a set each: that takes longer than reading them.
            sample_sessions: (quick / 2).max(1),
        }
    }
}

/// Which part of an answer comes from where, by positions of the question's measures.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    pub(super) measures: Vec<usize>,
    pub(super) source: Source,
    pub(super) sample: Sample,
}

/// Where a part is read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// The events of the range.
    Events,
    /// A histogram rollup, and the events of the ranges it does not hold.
    Values(Cube, Cover),
    /// The rollup of sessions, and the events of the ranges it does not hold.
    People(Cover, Spread),
    /// The rollup of a sample of visitors, and their events of the ranges it does not hold.
    Sample(Cover),
}

/// The histogram rollups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cube {
    /// Of each hour, as little as there can be.
    Totals,
    Hours,
    /// Of each route and day, as little as there can be.
    RouteTotals,
    Routes,
    Clients,
    /// Of some kinds only.
    Targets,
}

/// How the lists of a row of `rollup_sessions` are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spread {
    /// A row is a row. Kinds are asked of its list.
    Row,
    /// A row for each of its routes.
    Routes,
    /// A row for each of its kinds.
    Kinds,
}

/// A range, divided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cover {
    /// Times the rollup holds, ms: whole hours, or days, of which the open one ends with its last full hour.
    pub(super) rolled: Vec<Range<i64>>,
    /// Those of them, whole days, that its table by month holds and that are read there.
    pub(super) monthly: Vec<Range<i64>>,
    /// The others.
    pub(super) rest: Vec<Range<i64>>,
}

/// What a plan depends on.
pub(super) struct Question<'a> {
    pub(super) project: &'a str,
    pub(super) range: Range<i64>,
    pub(super) step: Option<i64>,
    pub(super) zone: i64,
    pub(super) kinds: &'a [Kind],
    pub(super) filters: &'a [Filter],
    pub(super) group_by: &'a [Field],
    /// Each of the groups on its own: no rollup holds them all.
    pub(super) facets: bool,
    pub(super) measures: &'a [&'a Measure],
    pub(super) sampling: Sampling,
    pub(super) exact: bool,
    pub(super) limits: Limits,
    /// The time at which the question is asked, ms.
    pub(super) now: i64,
}

impl Cube {
    const ALL: [Cube; 6] = [Cube::Totals, Cube::Hours, Cube::RouteTotals, Cube::Routes, Cube::Clients, Cube::Targets];

    /// The times it tells apart, ms.
    pub(super) fn grain(self) -> i64 {
        match self {
            Cube::Totals | Cube::Hours => HOUR,
            Cube::RouteTotals | Cube::Routes | Cube::Clients | Cube::Targets => DAY,
        }
    }

    /// What else it tells apart.
    fn holds(self, field: &Field) -> bool {
        use Field::{Browser, Connection, Country, Device, Environment, Failure, Kind, Method, Name, Os, Release, Route, Status, Target};
        match self {
            _ if matches!(field, Kind | Name | Environment) => true,
            Cube::Totals => false,
            Cube::Hours => matches!(field, Device | Release),
            Cube::RouteTotals => matches!(field, Route),
            Cube::Routes => matches!(field, Device | Release | Route),
            Cube::Clients => matches!(field, Device | Country | Browser | Os | Connection),
            Cube::Targets => matches!(field, Target | Method | Status | Failure),
        }
    }
}

/// What a measure needs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Values,
    People,
    /// Can be multiplied, so a sample will do.
    Sampled,
    /// A single event decides.
    Exact,
}

fn family(measure: &Measure) -> Family {
    match measure {
        Measure::Visitors | Measure::Sessions => Family::People,
        // Values at the target are what most are, and a bucket does not tell them from those above it.
        Measure::Pages | Measure::Apdex(_) => Family::Sampled,
        Measure::FirstSeen | Measure::LastSeen | Measure::AnyName | Measure::AnyMessage | Measure::AnyTarget => Family::Exact,
        _ => Family::Values,
    }
}

/// A smallest or largest value cannot be told from a sample.
fn sampled(measure: &Measure) -> bool {
    family(measure) != Family::Exact && !matches!(measure, Measure::Min | Measure::Max)
}

/// Divides a question.
pub(super) fn plan(question: &Question<'_>, known: &Known) -> Vec<Part> {
    let all: Vec<usize> = (0..question.measures.len()).collect();
    let part = |measures, source, sample| Part { measures, source, sample };
    // What single events are asked of.
    let source_of = |sample| {
        let fields = question.filters.iter().map(|filter| &filter.field).chain(question.group_by);
        let told = !question.measures.iter().any(|measure| family(measure) == Family::Exact);
        let held = told.then(|| held_by_sample(sample, question.kinds, fields, &question.range, known)).flatten();
        held.map_or(Source::Events, Source::Sample)
    };
    let to_read = known.events(question.project, question.kinds, names(question.filters), &question.range);
    if question.exact {
        return vec![part(all, Source::Events, Sample::ALL)];
    }
    // Of days whose events are gone there are figures left: nobody can tell from the events that are there how many those were.
    let values = if question.facets { None } else { values(question, known) };
    let outlived = values.is_some() && known.is_outlived(question.project, &question.range);
    if !outlived && to_read.is_some_and(|rows| rows <= question.limits.very_few_events) {
        return vec![part(all, Source::Events, Sample::ALL)];
    }
    if !outlived && to_read.is_some_and(|rows| rows <= question.limits.few_events) {
        return vec![part(all, source_of(Sample::ALL), Sample::ALL)];
    }
    let values = values.filter(|(_, rows)| outlived || to_read.is_none_or(|all| *rows < all));
    let people = if question.facets { None } else { people(question, known) };
    let (mut of_values, mut of_people, mut of_events) = (Vec::new(), Vec::new(), Vec::new());
    for (n, measure) in question.measures.iter().enumerate() {
        match family(measure) {
            Family::Values if values.is_some() => of_values.push(n),
            Family::People if people.is_some() => of_people.push(n),
            _ => of_events.push(n),
        }
    }
    let sample = to_read.map_or(Sample::ALL, |rows| sample(question, of_events.iter().filter_map(|n| question.measures.get(*n)), rows));
    // Who reads all events anyway needs no rollup beside it.
    if !of_events.is_empty() && sample == Sample::ALL && !outlived {
        return vec![part(all, source_of(sample), sample)];
    }
    let mut parts = Vec::new();
    if let Some((source, _)) = values.filter(|_| !of_values.is_empty()) {
        parts.push(part(of_values, source, Sample::ALL));
    }
    if let Some((source, sample)) = people.filter(|_| !of_people.is_empty()) {
        parts.push(part(of_people, source, sample));
    }
    if !of_events.is_empty() {
        parts.push(part(of_events, source_of(sample), sample));
    }
    parts
}

/// A sample of sessions, large enough for each of the steps. What filters leave of them is known only when they have been asked: a quarter each
/// is the guess, and all of those that leave something out.
fn of_sessions(rows: u64, steps: u64, filters: &[Filter], limits: Limits) -> Sample {
    let choosing = filters.iter().filter(|filter| filter.op != Op::NotIn).count();
    let mut sample = fraction(rows, limits.sample_sessions);
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    let each = (rows >> (2 * choosing).min(63)) as f64 / steps.max(1) as f64;
    while sample != Sample::ALL && trust::of_seen(each * sample.share(), sample) > trust::tolerable(steps > 1) {
        sample = Sample(sample.0 / 2);
    }
    // Half of the rows are not read in half of the time, and would have to be read again if they are too few.
    if sample.0 <= 2 { Sample::ALL } else { sample }
}

/// The size of a sample of events.
fn sample<'a>(question: &Question<'_>, mut measures: impl Iterator<Item = &'a &'a Measure>, rows: u64) -> Sample {
    let all = question.sampling == Sampling::Never
        || rows <= 2 * question.limits.sample_events
        || picks(question.filters)
        || tells_apart(question.group_by);
    if all || !measures.all(|measure| sampled(measure)) {
        return Sample::ALL;
    }
    fraction(rows, question.limits.sample_events)
}

/// The sample of events for a question about what visitors do one after the other, and the times for which the rollup of samples holds it. `conditions` are
/// those on single events, beside the filters.
pub(super) fn sample_of_journeys(
    limits: Limits,
    known: &Known,
    selection: &Selection<'_>,
    conditions: &[&[Filter]],
    range: &Range<i64>,
) -> (Sample, Option<Cover>) {
    let sample = match known.events(selection.project, selection.kinds, names(selection.filters), range) {
        Some(rows) if rows > 2 * limits.sample_journeys && !picks(selection.filters) => fraction(rows, limits.sample_journeys),
        _ => Sample::ALL,
    };
    let fields = conditions.iter().copied().chain([selection.filters]).flatten().map(|filter| &filter.field);
    (sample, held_by_sample(sample, selection.kinds, fields, range, known))
}

/// The times for which the rollup of samples holds all errors that filters choose from.
pub(super) fn errors(filters: &[Filter], range: &Range<i64>, known: &Known) -> Option<Cover> {
    held_by_sample(Sample::ALL, &UNSAMPLED, filters.iter().map(|filter| &filter.field), range, known)
}

/// The times for which the rollup of samples holds what is to be read; `None` when the events must be asked for all of it.
fn held_by_sample<'a>(
    sample: Sample,
    kinds: &[Kind],
    mut fields: impl Iterator<Item = &'a Field>,
    range: &Range<i64>,
    known: &Known,
) -> Option<Cover> {
    let unsampled = !kinds.is_empty() && kinds.iter().all(|kind| UNSAMPLED.contains(kind));
    if (sample.0 < SAMPLED && !unsampled) || !fields.all(in_sample) {
        return None;
    }
    let held = known.days.iter().map(|(day, known)| (day * DAY).max(range.start)..known.until.min(range.end));
    Some(cover(range, known, held)).filter(|cover| !cover.rolled.is_empty())
}

/// The tables that a question about single events reads, and which times.
pub(super) fn tables(range: Range<i64>, cover: Option<&Cover>) -> Vec<(From, Vec<Range<i64>>)> {
    cover.map_or_else(|| vec![(From::Events, vec![range])], |cover| cover.of_sample().collect())
}

/// Whether the rollup of samples has a column for it.
fn in_sample(field: &Field) -> bool {
    use Field::{
        Browser, Connection, Country, Device, Environment, Failure, Fingerprint, Kind, Language, Method, Name, Os, Rating, Referrer,
        Release, Route, Status, Target,
    };
    match field {
        Field::Attribute(key) => promoted(key).is_some_and(|field| in_sample(&field)),
        Kind | Name | Route | Referrer | Release | Environment | Browser | Os | Device | Country | Connection | Language => true,
        Target | Method | Status | Failure | Rating | Fingerprint | Field::Tag(_) => true,
        _ => false,
    }
}

/// A power of two, so that the sample of one question lies in that of another.
fn fraction(rows: u64, wanted: u64) -> Sample {
    Sample((rows / wanted).max(1).next_power_of_two())
}

/// Whether filters pick out so little that a sample would miss it: somebody, or something that has an id.
fn picks(filters: &[Filter]) -> bool {
    use Field::{Fingerprint, Id, Page, Session, User, Visitor};
    filters.iter().any(|filter| filter.op == Op::In && matches!(filter.field, Id | Page | Session | User | Visitor | Fingerprint))
}

/// Whether groups are somebody, or something of somebody: each is in a sample as a whole or not at all.
fn tells_apart(group_by: &[Field]) -> bool {
    use Field::{Page, Session, User, Visitor};
    group_by.iter().any(|field| matches!(field, Page | Session | User | Visitor))
}

/// The names a filter allows.
fn names(filters: &[Filter]) -> Option<&[String]> {
    filters.iter().find(|filter| filter.op == Op::In && filter.field == Field::Name).map(|filter| filter.values.as_slice())
}

/// The cheapest histogram rollup that can answer, and the rows it takes.
fn values(question: &Question<'_>, known: &Known) -> Option<(Source, u64)> {
    let candidates = Cube::ALL.into_iter().filter_map(|cube| {
        let fields = || question.filters.iter().map(|filter| &filter.field).chain(question.group_by);
        if !fields().all(|field| cube.holds(field)) {
            return None;
        }
        if cube == Cube::Targets {
            let held = !question.kinds.is_empty() && question.kinds.iter().all(|kind| TARGETED.contains(kind));
            // What the others tell, too, they do for longer: this one goes with the events.
            if !held || fields().all(|field| Cube::Hours.holds(field)) {
                return None;
            }
        }
        let grain = cube.grain();
        if question.step.is_some_and(|step| step % grain != 0 || question.zone % grain != 0) {
            return None;
        }
        let cover = if grain == HOUR { hours(&question.range, known) } else { days(&question.range, known) };
        if cover.rolled.is_empty() {
            return None;
        }
        let rows = known.rolled(cube, question.project, question.kinds, names(question.filters), &cover.rolled);
        // Nobody knows how many targets there are: of too many a sample of the events is read sooner.
        if cube == Cube::Targets && rows > question.limits.few_targets {
            return None;
        }
        let rest = cover.rest.iter().filter_map(|rest| known.events(question.project, question.kinds, names(question.filters), rest));
        let cost = rows + rest.sum::<u64>();
        Some((Source::Values(cube, cover), cost))
    });
    candidates.min_by_key(|(_, cost)| *cost)
}

/// How visitors and sessions can be counted with the rollup of sessions, if they can.
fn people(question: &Question<'_>, known: &Known) -> Option<(Source, Sample)> {
    use Field::{Browser, Connection, Country, Device, Environment, Language, Os, Release, Route, Session, Visitor};
    // Not the user: a row has the last one, and its events may be of nobody and of several.
    let single = |field: &Field| {
        matches!(field, Browser | Os | Device | Country | Connection | Language | Release | Environment | Session | Visitor)
    };
    if question.step.is_some_and(|step| step % HOUR != 0 || question.zone % HOUR != 0) {
        return None;
    }
    // A row has several routes and kinds; of two conditions on them it cannot tell whether one event meets both.
    let fields = || question.filters.iter().map(|filter| &filter.field).chain(question.group_by);
    let routes = fields().any(|field| *field == Route);
    let kinds = fields().any(|field| *field == Field::Kind) || !question.kinds.is_empty();
    if (routes && kinds) || !fields().all(|field| single(field) || matches!(field, Route | Field::Kind)) {
        return None;
    }
    let spread = match (routes, fields().any(|field| *field == Field::Kind)) {
        (true, _) => Spread::Routes,
        (false, true) => Spread::Kinds,
        (false, false) => Spread::Row,
    };
    let by_hour = question.step.is_some_and(|step| !of_days(step, question.zone));
    let cover = match (routes || kinds, by_hour) {
        // Nor does it tell in which hour: the step and the range must hold whole rows.
        (true, true) => return None,
        (true, false) => whole_rows(&question.range, known, question.now),
        (false, true) => hours(&question.range, known),
        (false, false) => cut_rows(&question.range, known),
    };
    if cover.rolled.is_empty() {
        return None;
    }
    let rows = known.sessions(question.project, &cover.rolled);
    let all = question.sampling == Sampling::Never || picks(question.filters) || tells_apart(question.group_by);
    let sample = if all || rows <= question.limits.few_sessions {
        Sample::ALL
    } else {
        let steps = question.step.map_or(1, |step| (question.range.end - question.range.start) / step + 1);
        of_sessions(rows, u64::try_from(steps).unwrap_or(1), question.filters, question.limits)
    };
    Some((Source::People(cover, spread), sample))
}

/// What the rollup of sessions tells of when somebody came, and the size of the sample; `None` when the events must be asked.
pub(super) fn visits(query: &RetentionQuery, known: &Known, limits: Limits, now: i64) -> Option<(Cover, Sample)> {
    use Field::{Browser, Connection, Country, Device, Environment, Language, Os, Release};
    let parts = [&query.filters, &query.first.filters, &query.again.filters];
    let held = |filter: &Filter| matches!(filter.field, Browser | Os | Device | Country | Connection | Language | Release | Environment);
    if query.exact || !parts.into_iter().flatten().all(held) {
        return None;
    }
    let range = query.from..query.to;
    let by_kind = !query.first.kinds.is_empty() || !query.again.kinds.is_empty();
    let cover = if by_kind { whole_rows(&range, known, now) } else { cut_rows(&range, known) };
    if cover.rolled.is_empty() {
        return None;
    }
    let rows = known.sessions(&query.project, &cover.rolled);
    let sample = if rows <= limits.few_sessions || picks(&query.filters) { Sample::ALL } else { fraction(rows, limits.sample_sessions) };
    Some((cover, sample))
}

/// The whole hours that are in the rollups, and the rest of the range.
pub(super) fn hours(range: &Range<i64>, known: &Known) -> Cover {
    let whole = up(range.start, HOUR)..range.end - range.end.rem_euclid(HOUR);
    cover(range, known, known.days.iter().map(|(day, known)| (day * DAY).max(whole.start)..known.until.min(whole.end)))
}

/// Whether steps are whole days.
pub(super) fn of_days(step: i64, zone: i64) -> bool {
    step % DAY == 0 && zone % DAY == 0
}

/// The times of which rows of the rollup of sessions tell whether there is an event in them, and the rest of the range. Of a day that the range
/// cuts once, the row's first or last event tells; of one that it cuts twice the hours do, if they are whole.
pub(super) fn cut_rows(range: &Range<i64>, known: &Known) -> Cover {
    let held = known.days.iter().map(|(day, known)| {
        let (start, end) = ((day * DAY).max(range.start), known.until.min(range.end));
        let twice = start > day * DAY && end < (day + 1) * DAY;
        if twice { up(start, HOUR)..end - end.rem_euclid(HOUR) } else { start..end }
    });
    cover(range, known, held)
}

/// The days of which the range holds all that is in the rollups of days, and the rest of it. Which hours of an open day a row is about the
/// statement has to check: see [`within_days`](super::filter::within_days).
pub(super) fn days(range: &Range<i64>, known: &Known) -> Cover {
    let held = known.days.iter().map(|(day, known)| day * DAY..known.until);
    cover(range, known, held.filter(|held| held.end % DAY == 0 || !known.closed_only))
}

/// The days of which the rollup of sessions holds nothing but what lies in the range, and the rest of it.
///
/// A row of the open day is about the hours up to its `until`, which may be a later one than is known here: it never is later than the
/// hour that goes on, so a range up to that one holds the whole row.
pub(super) fn whole_rows(range: &Range<i64>, known: &Known, now: i64) -> Cover {
    cover(range, known, whole(range, known, now))
}

/// The same, and the day that the range cuts at its beginning: whether a row's last event lies in the range is known.
pub(super) fn late_rows(range: &Range<i64>, known: &Known, now: i64) -> Cover {
    let cut = cut_day(range, known).or_else(|| cut_open_day(range, known, now));
    cover(range, known, cut.into_iter().chain(whole(range, known, now)))
}

/// What the range holds of the day that it cuts at its beginning, if that one is closed and the range goes on behind it.
pub(super) fn cut_day(range: &Range<i64>, known: &Known) -> Option<Range<i64>> {
    let day = range.start.div_euclid(DAY);
    let end = (day + 1) * DAY;
    let closed = known.days.get(&day).is_some_and(|day| day.until == end);
    (closed && day * DAY < range.start && end < range.end).then_some(range.start..end)
}

/// The same of the day that is not over: from a whole hour on, and only if the range reaches the present, see [`whole_rows`].
fn cut_open_day(range: &Range<i64>, known: &Known, now: i64) -> Option<Range<i64>> {
    let day = range.start.div_euclid(DAY);
    let until = known.days.get(&day)?.until;
    let open = day * DAY < range.start && range.start < until && until < (day + 1) * DAY;
    (open && range.start % HOUR == 0 && present(now) <= range.end).then_some(range.start..until)
}

/// The beginning of the hour that goes on.
fn present(now: i64) -> i64 {
    now - now.rem_euclid(HOUR)
}

fn whole(range: &Range<i64>, known: &Known, now: i64) -> impl Iterator<Item = Range<i64>> {
    let present = present(now);
    let whole = known.days.iter().filter(move |(day, known)| {
        let (start, end) = (**day * DAY, (**day + 1) * DAY);
        known.until > start && range.start <= start && (end <= range.end || (known.until < end && present <= range.end))
    });
    whole.map(|(day, known)| day * DAY..known.until.min(range.end))
}

/// Neighbours put together, and what lies between.
fn cover(range: &Range<i64>, known: &Known, held: impl Iterator<Item = Range<i64>>) -> Cover {
    let mut cover = Cover::default();
    let mut at = range.start;
    for held in held.filter(|held| held.start < held.end && held.start >= range.start && held.end <= range.end) {
        if held.start > at {
            cover.rest.push(at..held.start);
        }
        append(&mut cover.rolled, held.clone());
        at = held.end;
    }
    if at < range.end {
        cover.rest.push(at..range.end);
    }
    cover.monthly = monthly(&cover.rolled, known);
    cover
}

/// Adds what comes next.
fn append(ranges: &mut Vec<Range<i64>>, next: Range<i64>) {
    match ranges.last_mut() {
        Some(last) if last.end == next.start => last.end = next.end,
        _ => ranges.push(next),
    }
}

/// Days that are read from the tables by month. A month is worth it when it saves some parts, and when the days are not few of those in it:
/// what visitors do is not sorted by day there.
fn monthly(rolled: &[Range<i64>], known: &Known) -> Vec<Range<i64>> {
    let mut of_months = BTreeMap::<u32, (usize, Vec<i64>)>::new();
    for (day, _) in known.days.iter().filter(|(_, known)| known.monthly) {
        let (all, taken) = of_months.entry(Date::of(*day).month()).or_default();
        *all += 1;
        if rolled.iter().any(|range| range.start <= day * DAY && (day + 1) * DAY <= range.end) {
            taken.push(*day);
        }
    }
    let mut ranges = Vec::new();
    for (all, taken) in of_months.into_values() {
        if taken.len() >= FEWEST_OF_MONTH && taken.len() * 4 >= all {
            taken.into_iter().for_each(|day| append(&mut ranges, day * DAY..(day + 1) * DAY));
        }
    }
    ranges
}

impl Cover {
    /// The tables that hold the events of a sample, and which times are read there.
    pub(super) fn of_sample(&self) -> impl Iterator<Item = (From, Vec<Range<i64>>)> {
        self.sources(From::Sample).chain(self.of_rest())
    }

    /// The events of the times that the rollup does not hold, if there are such times.
    pub(super) fn of_rest(&self) -> Option<(From, Vec<Range<i64>>)> {
        (!self.rest.is_empty()).then(|| (From::Events, self.rest.clone()))
    }

    /// The tables the rolled times are read from, and which times: the rollup's own, and that by month.
    pub(super) fn sources(&self, table: From) -> impl Iterator<Item = (From, Vec<Range<i64>>)> {
        let mut daily = Vec::new();
        for range in &self.rolled {
            let mut at = range.start;
            for days in self.monthly.iter().filter(|days| range.start <= days.start && days.end <= range.end) {
                append(&mut daily, at..days.start);
                at = days.end;
            }
            append(&mut daily, at..range.end);
        }
        daily.retain(|range| range.start < range.end);
        [(table, daily), (table.by_month(), self.monthly.clone())].into_iter().filter(|(_, ranges)| !ranges.is_empty())
    }
}

fn up(time: i64, unit: i64) -> i64 {
    time + (-time).rem_euclid(unit)
}

/// The hours of each day that ranges of whole hours hold, as bits; days with the same ones are put together.
pub(super) fn masks(ranges: &[Range<i64>]) -> Vec<(Range<i64>, u32)> {
    let mut masks = BTreeMap::<i64, u32>::new();
    let mut whole: Vec<(Range<i64>, u32)> = Vec::new();
    for range in ranges {
        let full = up(range.start, DAY) / DAY..range.end.div_euclid(DAY);
        if full.start < full.end {
            whole.push((full.clone(), ALL_HOURS));
        }
        let mut hour = range.start;
        while hour < range.end {
            let day = hour.div_euclid(DAY);
            if full.contains(&day) {
                hour = full.end * DAY;
                continue;
            }
            *masks.entry(day).or_default() |= 1 << (hour.rem_euclid(DAY) / HOUR);
            hour += HOUR;
        }
    }
    whole.extend(masks.into_iter().map(|(day, mask)| (day..day + 1, mask)));
    whole
}

/// The bits of a whole day.
pub(super) const ALL_HOURS: u32 = (1 << 24) - 1;

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "lists of ranges are what is tested")]
mod tests {
    use super::*;
    use crate::query::known::Day;

    /// Day 100 and 101 are closed, 102 is in the rollups up to 10:00, nothing of 103 is.
    fn known() -> Known {
        let day = |day: i64, until: i64| {
            (
                day,
                Day {
                    frozen: Vec::new(),
                    until,
                    monthly: false,
                    events: 1_000_000,
                    hours: 10_000,
                    totals: 3_000,
                    routes: 30_000,
                    route_totals: 15_000,
                    clients: 90_000,
                    targets: 20_000,
                    sessions: 80_000,
                },
            )
        };
        let days = [day(100, 101 * DAY), day(101, 102 * DAY), day(102, 102 * DAY + 10 * HOUR), day(103, 103 * DAY)];
        let names = |names: &[(&str, f64)]| names.iter().map(|(name, share)| ((*name).to_owned(), *share)).collect();
        let shop = [("vital".to_owned(), names(&[("LCP", 0.2), ("CLS", 0.2)])), ("click".to_owned(), names(&[("click", 0.5)]))];
        let tiny = [("click".to_owned(), names(&[("click", 0.01)]))];
        let shares = [("shop".to_owned(), shop.into()), ("tiny".to_owned(), tiny.into())].into();
        Known { days: days.into(), shares, counted: true, ..Known::default() }
    }

    struct Scene {
        range: Range<i64>,
        step: Option<i64>,
        zone: i64,
        kinds: Vec<Kind>,
        filters: Vec<Filter>,
        group_by: Vec<Field>,
        project: &'static str,
        sampling: Sampling,
        exact: bool,
    }

    impl Default for Scene {
        fn default() -> Scene {
            let range = 100 * DAY..103 * DAY;
            let sampling = Sampling::Auto;
            Scene { range, step: None, zone: 0, kinds: vec![], filters: vec![], group_by: vec![], project: "shop", sampling, exact: false }
        }
    }

    impl Scene {
        fn plan(&self, measures: &[Measure]) -> Vec<Part> {
            self.plan_with(measures, &known())
        }

        fn plan_with(&self, measures: &[Measure], known: &Known) -> Vec<Part> {
            let measures: Vec<&Measure> = measures.iter().collect();
            let question = Question {
                facets: false,
                project: self.project,
                range: self.range.clone(),
                step: self.step,
                zone: self.zone,
                kinds: &self.kinds,
                filters: &self.filters,
                group_by: &self.group_by,
                measures: &measures,
                sampling: self.sampling,
                exact: self.exact,
                limits: Limits::new(200_000),
                now: 102 * DAY + 10 * HOUR + 5,
            };
            plan(&question, known)
        }

        fn cubes(&self) -> Option<Cube> {
            match &self.plan(&[Measure::P75])[0].source {
                Source::Values(cube, _) => Some(*cube),
                _ => None,
            }
        }
    }

    fn is(field: Field) -> Filter {
        Filter { field, op: Op::In, values: vec!["x".into()] }
    }

    #[test]
    fn hours_are_held_up_to_the_hour_that_is_known() {
        let range = 100 * DAY + 90 * 60_000..102 * DAY + 20 * HOUR;
        let cover = hours(&range, &known());
        assert_eq!(cover.rolled, vec![100 * DAY + 2 * HOUR..102 * DAY + 10 * HOUR]);
        assert_eq!(cover.rest, [range.start..100 * DAY + 2 * HOUR, 102 * DAY + 10 * HOUR..range.end]);
        assert_eq!(hours(&(99 * DAY..100 * DAY), &known()), Cover { rest: vec![99 * DAY..100 * DAY], ..Cover::default() });
        assert_eq!(hours(&(100 * DAY + 5..100 * DAY + 6), &known()).rolled, []);
    }

    #[test]
    fn days_of_a_month_are_read_together_where_that_saves_something() {
        // Day 100 is 11 April 1970; days 101 to 110 are in the table of the month, 111 was built again, 112 is open.
        let day = |day: i64, until| (day, Day { until, monthly: (101..111).contains(&day), ..Day::default() });
        let days = (100..112).map(|number| day(number, (number + 1) * DAY)).chain([day(112, 112 * DAY + 5 * HOUR)]);
        let known = Known { days: days.collect(), ..Known::default() };
        let read = |range: Range<i64>| hours(&range, &known).sources(From::Hours).collect::<Vec<_>>();
        let all =
            [(From::Hours, vec![100 * DAY..101 * DAY, 111 * DAY..112 * DAY + 5 * HOUR]), (From::MonthHours, vec![101 * DAY..111 * DAY])];
        assert_eq!(read(100 * DAY..113 * DAY), all);
        // Half a day is no row of a month's table of days.
        let halves = [(From::Hours, vec![102 * DAY + HOUR..103 * DAY]), (From::MonthHours, vec![103 * DAY..107 * DAY])];
        assert_eq!(read(102 * DAY + HOUR..107 * DAY), halves);
        // Two days are two parts either way.
        assert_eq!(read(103 * DAY..105 * DAY), [(From::Hours, vec![103 * DAY..105 * DAY])]);
        assert_eq!(read(113 * DAY..114 * DAY), []);
    }

    #[test]
    fn days_are_held_whole_and_the_open_one_up_to_its_last_hour() {
        let noon = 102 * DAY + 10 * HOUR;
        let cover = days(&(100 * DAY + 1..103 * DAY), &known());
        assert_eq!((cover.rolled, cover.rest), (vec![101 * DAY..noon], vec![100 * DAY + 1..101 * DAY, noon..103 * DAY]));
        assert_eq!(days(&(101 * DAY..noon), &known()).rolled, [101 * DAY..noon]);
        // Its rows are about more than the range.
        assert_eq!(days(&(101 * DAY..noon - 1), &known()).rolled, [101 * DAY..102 * DAY]);
        assert_eq!(days(&(101 * DAY..103 * DAY), &known().of_closed_days()).rolled, [101 * DAY..102 * DAY]);
    }

    #[test]
    fn rows_of_sessions_are_whole_when_the_range_reaches_the_present() {
        let (now, noon) = (102 * DAY + 10 * HOUR + 5, 102 * DAY + 10 * HOUR);
        assert_eq!(whole_rows(&(100 * DAY..noon), &known(), now).rolled, [100 * DAY..noon]);
        assert_eq!(whole_rows(&(100 * DAY..noon - 1), &known(), now).rolled, [100 * DAY..102 * DAY]);
        // A later build may have added hours behind the end of the range.
        assert_eq!(whole_rows(&(100 * DAY..noon), &known(), now + HOUR).rolled, [100 * DAY..102 * DAY]);
    }

    #[test]
    fn the_last_event_of_a_row_tells_of_a_closed_day_that_is_cut_at_its_beginning() {
        let (now, noon) = (102 * DAY + 10 * HOUR + 5, 102 * DAY + 10 * HOUR);
        let late = |range: Range<i64>| late_rows(&range, &known(), now).rolled;
        assert_eq!(late(100 * DAY + 7..noon), [100 * DAY + 7..noon]);
        assert_eq!(late(100 * DAY..noon), [100 * DAY..noon]);
        // It ends in the day that it cuts, or begins within an hour of the one that is not over.
        assert_eq!(late(100 * DAY + 7..101 * DAY), []);
        assert_eq!(late(102 * DAY + 7..noon), []);
        assert_eq!(late(noon - HOUR..noon + 5), [noon - HOUR..noon]);
        assert_eq!(late(noon..noon + 5), []);
        // A later build may have added hours behind the end of the range.
        assert_eq!(late_rows(&(noon - HOUR..noon - 5), &known(), now).rolled, []);
        assert_eq!(cut_day(&(101 * DAY + 7..noon), &known()), Some(101 * DAY + 7..102 * DAY));
    }

    #[test]
    fn rows_of_sessions_tell_of_a_day_that_is_cut_once_and_of_whole_hours() {
        let cover = |range: Range<i64>| {
            let cover = cut_rows(&range, &known());
            (cover.rolled, cover.rest)
        };
        let (from, noon) = (100 * DAY + 90 * 60_000, 102 * DAY + 12 * HOUR);
        assert_eq!(cover(from..noon), (vec![from..noon - 2 * HOUR], vec![noon - 2 * HOUR..noon]));
        assert_eq!(cover(100 * DAY..102 * DAY + 7), (vec![100 * DAY..102 * DAY + 7], vec![]));
        // Twice: by whole hours, and so is the day that is not over.
        let hour = 100 * DAY + 2 * HOUR..100 * DAY + 3 * HOUR;
        assert_eq!(cover(from..hour.end + 5), (vec![hour.clone()], vec![from..hour.start, hour.end..hour.end + 5]));
        let late = 102 * DAY + 9 * HOUR + 1..102 * DAY + 10 * HOUR;
        assert_eq!(cover(late.clone()), (vec![], vec![late]));
    }

    #[test]
    fn hours_of_days_become_bits() {
        let range = 100 * DAY + 22 * HOUR..103 * DAY + 2 * HOUR;
        assert_eq!(masks(std::slice::from_ref(&range)), [(101..103, ALL_HOURS), (100..101, 0b11 << 22), (103..104, 0b11)]);
        assert_eq!(masks(&[100 * DAY..100 * DAY + HOUR, 100 * DAY + 3 * HOUR..100 * DAY + 4 * HOUR]), [(100..101, 0b1001)]);
    }

    #[test]
    fn little_is_read_as_it_is_and_so_is_what_must_be_exact() {
        let events = |parts: Vec<Part>| parts.len() == 1 && parts[0].source == Source::Events && parts[0].sample == Sample::ALL;
        let measures = [Measure::Count, Measure::Visitors];
        assert!(events(Scene { exact: true, ..Scene::default() }.plan(&measures)));
        assert!(events(Scene { project: "tiny", ..Scene::default() }.plan(&measures)));
        assert!(events(Scene { project: "unknown", ..Scene::default() }.plan(&measures)));
        assert!(!events(Scene::default().plan(&measures)));
        // A single event decides, so all are read; then the rollup would save nothing.
        assert!(events(Scene::default().plan(&[Measure::Count, Measure::LastSeen])));
    }

    #[test]
    fn the_smallest_rollup_that_tells_the_fields_apart_is_asked() {
        let cube = |fields: &[Field]| Scene { group_by: fields.to_vec(), range: 100 * DAY..102 * DAY, ..Scene::default() }.cubes();
        assert_eq!(cube(&[]), Some(Cube::Totals));
        assert_eq!(cube(&[Field::Environment, Field::Kind]), Some(Cube::Totals));
        assert_eq!(cube(&[Field::Release, Field::Name]), Some(Cube::Hours));
        assert_eq!(cube(&[Field::Route, Field::Name]), Some(Cube::RouteTotals));
        assert_eq!(cube(&[Field::Route, Field::Release]), Some(Cube::Routes));
        assert_eq!(cube(&[Field::Browser, Field::Device]), Some(Cube::Clients));
        assert_eq!(cube(&[Field::Browser, Field::Route]), None);
        assert_eq!(cube(&[Field::Attribute("plan".into())]), None);
        let step = |step: i64, zone: i64| Scene { step: Some(step), zone, ..Scene::default() }.cubes();
        assert_eq!(
            (step(HOUR, 2 * HOUR), step(DAY, -HOUR), step(HOUR / 2, 0), step(HOUR, HOUR / 2)),
            (Some(Cube::Totals), Some(Cube::Totals), None, None)
        );
        let by_route = |step: i64, zone: i64| Scene { step: Some(step), zone, group_by: vec![Field::Route], ..Scene::default() }.cubes();
        assert_eq!((by_route(DAY, 0), by_route(DAY, HOUR), by_route(HOUR, 0)), (Some(Cube::RouteTotals), None, None));
    }

    #[test]
    fn targets_are_asked_of_their_rollup_where_it_holds_all_of_them() {
        let cube = |kinds: &[Kind], fields: &[Field]| {
            Scene { kinds: kinds.to_vec(), group_by: fields.to_vec(), range: 100 * DAY..102 * DAY, ..Scene::default() }.cubes()
        };
        assert_eq!(cube(&[Kind::Click], &[Field::Target]), Some(Cube::Targets));
        assert_eq!(cube(&[Kind::Click, Kind::Vital], &[Field::Target]), None);
        assert_eq!(cube(&[], &[Field::Target]), None);
        assert_eq!(cube(&[Kind::Click], &[Field::Target, Field::Route]), None);
        // It would be the smallest, but is not kept as long as the others.
        let mut few = known();
        few.days.values_mut().for_each(|day| day.targets = 1);
        let scene = Scene { kinds: vec![Kind::Click], group_by: vec![Field::Environment], ..Scene::default() };
        assert!(matches!(scene.plan_with(&[Measure::Count], &few)[0].source, Source::Values(Cube::Totals, _)));
        // More of them than a sample would read.
        let mut many = known();
        many.days.values_mut().for_each(|day| day.targets = 900_000);
        let scene = Scene { kinds: vec![Kind::Click], group_by: vec![Field::Target], ..Scene::default() };
        assert!(matches!(scene.plan_with(&[Measure::Count], &many)[0].source, Source::Sample(_)));
    }

    #[test]
    fn visitors_come_from_sessions_where_a_row_can_tell() {
        let spread = |scene: Scene| match &scene.plan(&[Measure::Visitors])[0].source {
            Source::People(_, spread) => Some(*spread),
            _ => None,
        };
        let filters = |fields: &[Field]| Scene { filters: fields.iter().cloned().map(is).collect(), ..Scene::default() };
        assert_eq!(spread(Scene { step: Some(HOUR), zone: HOUR, ..Scene::default() }), Some(Spread::Row));
        assert_eq!(spread(filters(&[Field::Browser, Field::Language])), Some(Spread::Row));
        assert_eq!(spread(filters(&[Field::Route, Field::Browser])), Some(Spread::Routes));
        assert_eq!(spread(filters(&[Field::Kind])), Some(Spread::Kinds));
        assert_eq!(spread(Scene { kinds: vec![Kind::Click], ..Scene::default() }), Some(Spread::Row));
        assert_eq!(spread(filters(&[Field::Route, Field::Kind])), None);
        assert_eq!(spread(filters(&[Field::Name])), None);
        assert_eq!(spread(Scene { kinds: vec![Kind::Click], step: Some(HOUR), ..Scene::default() }), None);
        assert_eq!(spread(Scene { kinds: vec![Kind::Click], step: Some(DAY), ..Scene::default() }), Some(Spread::Row));
    }

    #[test]
    fn sessions_are_sampled_unless_little_is_left_of_them_or_nobody_wants_it() {
        let sample = |each_day: u64, filters: &[Field], sampling| {
            let mut known = known();
            known.days.values_mut().for_each(|day| day.sessions = each_day);
            let filters = filters.iter().cloned().map(is).collect();
            Scene { filters, sampling, ..Scene::default() }.plan_with(&[Measure::Visitors], &known)[0].sample
        };
        let three = [Field::Browser, Field::Device, Field::Country];
        assert_eq!(sample(240_000, &[], Sampling::Auto), Sample(8));
        assert_eq!(sample(240_000, &three[..1], Sampling::Auto), Sample(8));
        assert_eq!(sample(240_000, &three[..2], Sampling::Auto), Sample(4));
        assert_eq!(sample(240_000, &three, Sampling::Auto), Sample::ALL);
        assert_eq!(sample(24_000_000, &three, Sampling::Auto), Sample(64));
        assert_eq!(sample(24_000_000, &[], Sampling::Never), Sample::ALL);
        let events = |sampling| Scene { sampling, ..Scene::default() }.plan(&[Measure::Pages])[0].sample;
        assert_ne!(events(Sampling::Auto), Sample::ALL);
        assert_eq!(events(Sampling::Never), Sample::ALL);
        // A session is in a sample as a whole or not at all.
        for field in [Field::Session, Field::Visitor, Field::User, Field::Page] {
            let grouped = Scene { group_by: vec![field], ..Scene::default() };
            let parts = grouped.plan(&[Measure::Count, Measure::Sessions, Measure::Pages]);
            assert!(parts.iter().all(|part| part.sample == Sample::ALL), "{:?}", grouped.group_by);
        }
    }

    #[test]
    fn each_step_has_enough_visitors() {
        let limits = Limits::new(200_000);
        assert_eq!(of_sessions(700_000, 1, &[], limits), Sample(8));
        let left_out = [Field::Browser, Field::Device, Field::Country].map(|field| Filter { op: Op::NotIn, ..is(field) });
        assert_eq!(of_sessions(700_000, 1, &left_out, limits), Sample(8));
        // Of 23,000 a day, an eighth would be off by 3.4 %.
        assert_eq!(of_sessions(700_000, 30, &[], limits), Sample(4));
        assert_eq!(of_sessions(700_000, 700, &[], limits), Sample::ALL);
    }

    #[test]
    fn a_sample_is_read_from_its_rollup_where_that_holds_it() {
        let source = |scene: Scene| {
            let parts = scene.plan(&[Measure::Pages]);
            (parts[0].source.clone(), parts[0].sample)
        };
        let by = |fields: &[Field]| Scene { range: 99 * DAY + 7..103 * DAY, group_by: fields.to_vec(), ..Scene::default() };
        let cover = Cover {
            rolled: vec![100 * DAY..102 * DAY + 10 * HOUR],
            monthly: vec![],
            rest: vec![99 * DAY + 7..100 * DAY, 102 * DAY + 10 * HOUR..103 * DAY],
        };
        assert_eq!(source(by(&[Field::Referrer, Field::Attribute("status".into())])), (Source::Sample(cover), Sample(16)));
        assert_eq!(source(by(&[Field::Attribute("plan".into())])), (Source::Events, Sample(16)));
        assert_eq!(source(Scene { range: 99 * DAY..100 * DAY, ..Scene::default() }).0, Source::Events);
        // Of errors it has all, but not their texts.
        let errors = |measures: &[Measure]| {
            let scene =
                Scene { kinds: vec![Kind::Error], filters: vec![is(Field::Fingerprint)], range: 100 * DAY..102 * DAY, ..Scene::default() };
            let mut known = known();
            known.shares.get_mut("shop").unwrap().insert("error".into(), [("x".to_owned(), 0.2)].into());
            let part = scene.plan_with(measures, &known).swap_remove(0);
            (matches!(part.source, Source::Sample(_)), part.sample)
        };
        assert_eq!(errors(&[Measure::Count, Measure::Visitors, Measure::Max]), (true, Sample::ALL));
        assert_eq!(errors(&[Measure::Count, Measure::AnyMessage]), (false, Sample::ALL));
        // Half a day has too few events for a sample as small as the rollup's.
        assert_eq!(source(Scene { range: 100 * DAY..100 * DAY + 12 * HOUR, ..Scene::default() }), (Source::Events, Sample(2)));
    }

    #[test]
    fn the_rest_is_a_sample_unless_it_could_miss_what_is_looked_for() {
        let scene = |field: Field| Scene { filters: vec![is(field)], ..Scene::default() };
        let plan = scene(Field::Attribute("plan".into())).plan(&[Measure::Count, Measure::Visitors]);
        // 2.7 million events of the project in three days: of 200,000 at least a half.
        assert_eq!(plan, [Part { measures: vec![0, 1], source: Source::Events, sample: Sample(16) }]);
        assert_eq!(scene(Field::Attribute("plan".into())).plan(&[Measure::Max])[0].sample, Sample::ALL);
        assert_eq!(scene(Field::Fingerprint).plan(&[Measure::Count])[0].sample, Sample::ALL);
        let parts = Scene::default().plan(&[Measure::Pages, Measure::Count, Measure::Sessions]);
        assert_eq!(parts.iter().map(|part| part.measures.clone()).collect::<Vec<_>>(), [vec![1], vec![2], vec![0]]);
        assert_eq!(parts.iter().map(|part| part.sample).collect::<Vec<_>>(), [Sample::ALL, Sample::ALL, Sample(16)]);
    }
}
