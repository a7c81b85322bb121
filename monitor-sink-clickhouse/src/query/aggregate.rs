//! A [`Query`] from its plan to its table.

use std::collections::{HashMap, HashSet};

use monitor_core::{
    QueryError, Scope,
    query::{Measure, Query, Source, Stats, Table},
};
use serde_json::Value as Cell;

use super::{
    ClickHouseStore, ONE_THREAD,
    answer::{Shape, count, of_group, of_measure, tidy},
    filter::Selection,
    known::Known,
    people,
    plan::{self, Part},
    raw::{self, Ask, Chosen, Sample},
    trust, values,
};
use crate::connection::Answer;

/// Rows and what they cost.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) rows: Vec<Vec<Cell>>,
    /// Those of the whole range, where the question has both.
    totals: Vec<Vec<Cell>>,
    pub(super) stats: Stats,
}

/// Answers a question that was checked.
pub(super) async fn answer(store: &ClickHouseStore, known: &Known, scope: &Scope, query: &Query) -> Result<Table, QueryError> {
    let mut stats = Stats::default();
    let chosen = match &query.top {
        Some(top) => {
            let ask =
                Ask { step: None, measures: vec![&top.by], order: Some((query.group_by.len(), true)), limit: top.n, ..plain(scope, query) };
            let largest = run(store, &ask, plan(store, known, &ask, query)).await?;
            add(&mut stats, &largest.stats);
            let top_groups = groups(&largest, 0, query.group_by.len(), top.others);
            // Nothing at all: there is no largest group, and there are no others.
            if top_groups.values.first().is_none_or(Vec::is_empty) {
                let none = |asked: bool| asked.then(Vec::new);
                let (totals, previous) = (none(query.totals), none(query.compare));
                return Ok(Table {
                    columns: query.columns(),
                    rows: Vec::new(),
                    totals,
                    previous,
                    previous_totals: none(query.totals && query.compare),
                    stats,
                });
            }
            Some(top_groups)
        }
        None => None,
    };
    // One more row than is answered tells whether a list was cut.
    let is_list = query.step.is_none() && chosen.is_none() && !query.group_by.is_empty() && query.compare;
    let ask = Ask { chosen: chosen.as_ref(), limit: query.limit + u32::from(is_list), ..plain(scope, query) };
    let cut = |rows: &mut Rows| {
        let is_cut = is_list && rows.rows.len() > query.limit as usize;
        rows.rows.truncate(if is_list { query.limit as usize } else { usize::MAX });
        is_cut
    };
    let (mut current, totals) = period(store, known, &ask, query).await?;
    let was_cut = cut(&mut current);
    add(&mut stats, &current.stats);
    let mut table = Table { columns: query.columns(), totals, stats, ..Table::default() };
    if query.compare {
        let length = query.to - query.from;
        // A list that was cut is compared with the same groups, not with those that were the largest then.
        let same = was_cut.then(|| groups(&current, 0, query.group_by.len(), false));
        let ask_before = Ask {
            range: query.from - length..query.from,
            // Its steps begin where those of this period do, also when the range is no multiple of the step.
            zone: query.zone_offset + length,
            chosen: same.as_ref().or(chosen.as_ref()),
            ..ask.clone()
        };
        let (mut before, totals) = period(store, known, &ask_before, query).await?;
        add(&mut table.stats, &before.stats);
        table.previous_totals = totals;
        if cut(&mut before) && same.is_none() && !current.rows.is_empty() {
            // There were more groups then: those that are left of them may not be among the largest.
            let left = groups(&current, 0, query.group_by.len(), false);
            let ask = Ask { chosen: Some(&left), ..ask_before };
            let left = run(store, &ask, plan(store, known, &ask, query)).await?;
            add(&mut table.stats, &left.stats);
            let keys = query.group_by.len();
            let listed: HashSet<String> = before.rows.iter().map(|row| key(row, keys)).collect();
            before.rows.extend(left.rows.into_iter().filter(|row| !listed.contains(&key(row, keys))));
        }
        if query.step.is_some() {
            for time in before.rows.iter_mut().filter_map(|row| row.first_mut()) {
                *time = time.as_i64().map_or(Cell::Null, |time| Cell::from(time + length));
            }
        }
        table.previous = Some(before.rows);
    }
    table.rows = current.rows;
    Ok(table)
}

/// The question as it stands, about its own period.
fn plain<'a>(scope: &'a Scope, query: &'a Query) -> Ask<'a> {
    let order = query.order_by.as_ref().and_then(|order| {
        let column = query.columns().iter().position(|column| *column == order.column)?;
        Some((column, order.descending))
    });
    Ask {
        selection: Selection { scope, project: &query.project, kinds: &query.kinds, filters: &query.filters },
        range: query.from..query.to,
        step: query.step,
        zone: query.zone_offset,
        group_by: &query.group_by,
        chosen: None,
        measures: query.measures.iter().collect(),
        order,
        limit: query.limit,
        sample: Sample::ALL,
        totals: false,
        facets: query.facets,
    }
}

/// The rows of a period, and those of the whole of it if they are asked for.
async fn period(
    store: &ClickHouseStore,
    known: &Known,
    ask: &Ask<'_>,
    query: &Query,
) -> Result<(Rows, Option<Vec<Vec<Cell>>>), QueryError> {
    if !query.totals {
        return Ok((run(store, ask, plan(store, known, ask, query)).await?, None));
    }
    let whole =
        Ask { step: None, order: ask.order.and_then(|(column, descending)| Some((column.checked_sub(1)?, descending))), ..ask.clone() };
    let (parts, of_whole) = (plan(store, known, ask, query), plan(store, known, &whole, query));
    let mut rows = match parts.as_slice() {
        [part] if parts == of_whole && adds_up(ask, part) => run_part(store, &Ask { totals: true, ..ask.clone() }, part).await?,
        _ => run(store, ask, parts).await?,
    };
    let mut totals = std::mem::take(&mut rows.totals);
    // They were not asked for with the steps; or there was nothing, of which there is a total, too.
    if totals.is_empty() {
        let whole = run(store, &whole, of_whole).await?;
        add(&mut rows.stats, &whole.stats);
        totals = whole.rows.into_iter().map(|row| [vec![Cell::Null], row].concat()).collect();
    }
    Ok((rows, Some(totals)))
}

/// Whether the server can make the totals of what it has added up for the steps, at less than a question of their own would take: not of
/// sets of visitors, and a rate is by the minutes that a row is about.
fn adds_up(ask: &Ask<'_>, part: &Part) -> bool {
    let is_set = |measure: &&Measure| matches!(measure, Measure::Visitors | Measure::Sessions | Measure::Pages);
    part.sample == Sample::ALL && !ask.measures.iter().any(|measure| is_set(measure) || **measure == Measure::Rate)
}

/// The groups of an answer's rows, which begin at a column.
fn groups(rows: &Rows, from: usize, fields: usize, others: bool) -> Chosen {
    let text = |cell: &Cell| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned);
    let column = |n: usize| rows.rows.iter().filter_map(|row| row.get(from + n)).map(text).collect();
    Chosen { values: (0..fields).map(column).collect(), others }
}

/// The cost of two questions; the less certain answer decides what can be relied on.
fn add(all: &mut Stats, more: &Stats) {
    all.rows_read += more.rows_read;
    all.sample = all.sample.min(more.sample);
    all.error = all.error.max(more.error);
    if more.source != Source::Events {
        all.source = more.source;
    }
}

fn plan(store: &ClickHouseStore, known: &Known, ask: &Ask<'_>, query: &Query) -> Vec<Part> {
    let question = plan::Question {
        project: ask.selection.project,
        range: ask.range.clone(),
        step: ask.step,
        zone: ask.zone,
        kinds: ask.selection.kinds,
        filters: ask.selection.filters,
        group_by: ask.group_by,
        facets: ask.facets,
        measures: &ask.measures,
        sampling: query.sampling,
        exact: query.exact,
        limits: store.limits(),
        now: super::now(),
    };
    plan::plan(&question, known)
}

/// Asks what was planned, and puts the parts together.
async fn run(store: &ClickHouseStore, ask: &Ask<'_>, mut parts: Vec<Part>) -> Result<Rows, QueryError> {
    // The part that the order names goes first: it decides which rows there are.
    let keys = ask.keys();
    let leads = |part: &Part| ask.order.and_then(|(column, _)| column.checked_sub(keys)).is_some_and(|n| part.measures.contains(&n));
    parts.sort_by_key(|part| !leads(part));
    let mut parts = parts.into_iter();
    let Some(first) = parts.next() else { return Ok(Rows::default()) };
    let order = ask.order.and_then(|(column, descending)| match column.checked_sub(keys) {
        None => Some((column, descending)),
        Some(n) => first.measures.iter().position(|measure| *measure == n).map(|n| (keys + n, descending)),
    });
    let mut answer = run_part(store, &Ask { order, ..ask.clone() }, &first).await?;
    if parts.len() == 0 {
        return Ok(answer);
    }
    let mut columns: Vec<Vec<Option<Cell>>> = vec![vec![None; ask.measures.len()]; answer.rows.len()];
    let places: HashMap<String, usize> = answer.rows.iter().enumerate().map(|(n, row)| (key(row, keys), n)).collect();
    scatter(&answer.rows, &first, keys, &places, &mut columns);
    let same = match ask.chosen {
        None if !ask.group_by.is_empty() => Some(groups(&answer, usize::from(ask.step.is_some()), ask.group_by.len(), false)),
        _ => None,
    };
    for part in parts {
        let more = Ask { order: None, limit: MOST_ROWS, chosen: same.as_ref().or(ask.chosen), ..ask.clone() };
        let more = run_part(store, &more, &part).await?;
        add(&mut answer.stats, &more.stats);
        // What is missing then would look like nothing: all of it is asked of one table instead.
        if more.rows.len() >= MOST_ROWS as usize {
            let all = Part { measures: (0..ask.measures.len()).collect(), source: plan::Source::Events, sample: Sample::ALL };
            return run_part(store, ask, &all).await;
        }
        scatter(&more.rows, &part, keys, &places, &mut columns);
    }
    let rows = answer.rows.iter().zip(columns).map(|(row, columns)| {
        let measures = columns.into_iter().zip(&ask.measures).map(|(cell, measure)| cell.unwrap_or_else(|| nothing(measure)));
        row.iter().take(keys).cloned().chain(measures).collect()
    });
    answer.rows = rows.collect();
    Ok(answer)
}

/// Most rows of a part that others are joined with.
pub(super) const MOST_ROWS: u32 = 19_999;

/// Time and groups as one text.
fn key(row: &[Cell], keys: usize) -> String {
    let mut key = String::new();
    for cell in row.iter().take(keys) {
        key.push_str(&cell.to_string());
        key.push(',');
    }
    key
}

/// Puts a part's cells where they belong; rows that nobody asked for are left out.
fn scatter(rows: &[Vec<Cell>], part: &Part, keys: usize, places: &HashMap<String, usize>, columns: &mut [Vec<Option<Cell>>]) {
    for row in rows {
        let Some(place) = places.get(&key(row, keys)).and_then(|place| columns.get_mut(*place)) else { continue };
        for (cell, measure) in row.iter().skip(keys).zip(&part.measures) {
            if let Some(place) = place.get_mut(*measure) {
                *place = Some(cell.clone());
            }
        }
    }
}

/// A measure of a group of which a part knows nothing.
fn nothing(measure: &Measure) -> Cell {
    match measure {
        Measure::Count | Measure::Visitors | Measure::Sessions | Measure::Pages | Measure::Rate => Cell::from(0),
        _ => Cell::Null,
    }
}

async fn run_part(store: &ClickHouseStore, ask: &Ask<'_>, part: &Part) -> Result<Rows, QueryError> {
    let rows = ask_part(store, ask, part).await?;
    let is_people = matches!(part.source, plan::Source::People(..));
    let tolerable = trust::tolerable(ask.step.is_some());
    if !is_people || part.sample == Sample::ALL || rows.stats.error <= tolerable {
        return Ok(rows);
    }
    let part = Part { sample: part.sample.for_error(rows.stats.error, tolerable), ..part.clone() };
    let mut again = ask_part(store, ask, &part).await?;
    again.stats.rows_read += rows.stats.rows_read;
    Ok(again)
}

async fn ask_part(store: &ClickHouseStore, ask: &Ask<'_>, part: &Part) -> Result<Rows, QueryError> {
    let measures = part.measures.iter().filter_map(|n| ask.measures.get(*n).copied()).collect();
    let ask = &Ask { measures, sample: part.sample, ..ask.clone() };
    let sql = match &part.source {
        plan::Source::Events => raw::select(ask, None)?,
        plan::Source::Sample(cover) => raw::select(ask, Some(cover))?,
        plan::Source::Values(cube, cover) => values::select(ask, *cube, cover)?,
        plan::Source::People(cover, spread) => people::select(ask, cover, *spread)?,
    };
    let mut answer: Answer<Vec<Cell>> = match part.source {
        plan::Source::People(..) => store.ask_with(&sql, ONE_THREAD).await?,
        _ => store.ask(&sql).await?,
    };
    if ask.facets {
        blank_others(&mut answer.data, ask.group_by.len());
    }
    let mut totals = if ask.totals { split_totals(&mut answer.data) } else { Vec::new() };
    if matches!(part.source, plan::Source::Values(..)) {
        values::finish(ask, &mut answer.data);
        values::finish(ask, &mut totals);
    }
    let error = trust::error(ask, &part.source, &answer.data);
    let shapes = shapes(ask);
    let tidied = |rows: Vec<Vec<Cell>>| -> Vec<Vec<Cell>> {
        rows.into_iter().map(|row| row.into_iter().zip(&shapes).map(|(cell, shape)| tidy(cell, *shape)).collect()).collect()
    };
    let source = if part.source == plan::Source::Events { Source::Events } else { Source::Rollup };
    let stats = Stats { elapsed_ms: 0.0, rows_read: answer.statistics.rows_read, source, sample: part.sample.share(), error };
    Ok(Rows { rows: tidied(answer.data), totals: tidied(totals), stats })
}

/// Takes the last column, which tells the facet of a row, and leaves of the fields only that one.
fn blank_others(rows: &mut [Vec<Cell>], fields: usize) {
    for row in rows {
        // As many bits as fields, the first one highest; that of the facet is 0.
        let others = count(row.pop().as_ref());
        for (n, cell) in row.iter_mut().take(fields).enumerate() {
            if others >> (fields - 1 - n) & 1 != 0 {
                *cell = Cell::Null;
            }
        }
    }
}

/// Takes the rows of the whole range out, and from all the column that tells them apart.
fn split_totals(rows: &mut Vec<Vec<Cell>>) -> Vec<Vec<Cell>> {
    let mut totals = Vec::new();
    rows.retain_mut(|row| {
        let of_all = count(row.pop().as_ref()) == 1;
        if of_all {
            if let Some(time) = row.first_mut() {
                *time = Cell::Null;
            }
            totals.push(std::mem::take(row));
        }
        !of_all
    });
    totals
}

/// What the columns of the answer hold.
fn shapes(ask: &Ask<'_>) -> Vec<Shape> {
    let time = ask.step.map(|_| Shape::Number);
    let groups = ask.group_by.iter().map(of_group);
    time.into_iter().chain(groups).chain(ask.measures.iter().map(|measure| of_measure(measure))).collect()
}
