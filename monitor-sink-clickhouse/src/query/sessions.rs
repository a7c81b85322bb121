//! A list of sessions.
//!
//! Two steps: which sessions, with nothing read but what they are ordered by; then all about those of the page. Whole days (and the hours
//! of the present day) come from the rollup of sessions, what it does not hold from the events. The latest sessions of a long range are
//! found in its last days: the range is looked at from its end, in ever longer windows, until the page is full.
//!
//! Sessions are told apart by the hash of their id, which is short. A filter that the rollup cannot answer is asked of the events.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    ops::Range,
    time::Instant,
};

use monitor_core::{
    QueryError, Scope,
    query::{Field, Filter, Op, SessionOrder, SessionQuery, Source, Stats, Table},
};
use serde::Deserialize;
use serde_json::Value as Cell;

use super::{
    ClickHouseStore,
    answer::whole,
    filter::{From, Selection, condition, matching, matching_any, pick_few, tenant},
    known::Known,
    people::within,
    plan::{self, Cover},
};
use crate::{
    calendar::{DAY, HOUR},
    connection::Answer,
    sql::{Sql, Value},
};

/// A session can go on after the event that meets the filters, so it is looked for in this much more than the page takes, ms. One that goes
/// on for longer may be missed at the end of a page of the newest.
const GOES_ON: i64 = 4 * HOUR;
/// Sessions whose details are asked for at once: their hashes travel in the address of a request.
const AT_ONCE: usize = 500;

/// A session that is listed.
#[derive(Clone, Copy, Debug)]
struct Listed {
    /// Of its id.
    hash: u64,
    /// The smallest and the largest `user_hash` of the events that were looked at: mostly the same. Events of yet another visitor are not
    /// counted: the SDK gives a session one visitor, or none before there is one.
    who: [u64; 2],
    /// From its first event that was looked at to its last, ms.
    seen: [i64; 2],
}

/// Answers a question that was checked.
pub(super) async fn answer(store: &ClickHouseStore, scope: &Scope, query: &SessionQuery) -> Result<Table, QueryError> {
    let known = store.known().await?;
    let now = super::now();
    let mut stats = Stats::default();
    let page = choose(store, scope, query, &known, now, &mut stats).await?;

    let all = query.from..query.to;
    let whole = plan::whole_rows(&all, &known, now);
    let mut rows = Vec::with_capacity(page.len());
    for part in page.chunks(AT_ONCE) {
        let near = around(part, &all);
        // Few of them were there on the day that the range cuts at its beginning, for which its events would have to be read.
        let cut = plan::cut_day(&near, &known);
        let early = match &cut {
            Some(cut) => beginning(store, scope, query, cut, part, &mut stats).await?,
            None => HashSet::new(),
        };
        let behind = cut.map_or(near.start, |cut| cut.end)..near.end;
        let (early, late) = part.iter().partition::<Vec<Listed>, _>(|listed| early.contains(&listed.hash));
        let mut details = HashMap::new();
        for (sessions, range) in [(early, &near), (late, &behind)].into_iter().filter(|(sessions, _)| !sessions.is_empty()) {
            let cover = plan::whole_rows(range, &known, now);
            details.extend(ask(store, &self::details(scope, query, &cover, &sessions)?, &mut stats).await?);
        }
        let those = |which: &dyn Fn(&Found) -> bool, details: &HashMap<u64, Found>| -> Vec<Listed> {
            part.iter().filter(|listed| details.get(&listed.hash).is_some_and(which)).copied().collect()
        };
        let long = those(&|found| near.start > all.start && found.start < near.start + DAY, &details);
        if !long.is_empty() {
            details.extend(ask(store, &self::details(scope, query, &whole, &long)?, &mut stats).await?);
        }
        let unclear = those(&|found| found.unclear, &details);
        if !unclear.is_empty() {
            let found = || unclear.iter().filter_map(|listed| details.get(&listed.hash));
            let first = found().map(|found| found.start).min().unwrap_or(query.from);
            let last = found().map(|found| found.end).max().unwrap_or(query.to);
            let lived = first.max(query.from)..last.saturating_add(1).min(query.to);
            let lived = Cover { rest: vec![lived], ..Cover::default() };
            details.extend(ask(store, &self::details(scope, query, &lived, &unclear)?, &mut stats).await?);
        }
        rows.extend(part.iter().filter_map(|listed| details.remove(&listed.hash)).map(|found| found.cells));
    }
    if !whole.rolled.is_empty() {
        stats.source = Source::Rollup;
    }
    Ok(Table { columns: SessionQuery::COLUMNS.map(str::to_owned).to_vec(), rows, stats, ..Table::default() })
}

/// The sessions of the page, in order.
async fn choose(
    store: &ClickHouseStore,
    scope: &Scope,
    query: &SessionQuery,
    known: &Known,
    now: i64,
    stats: &mut Stats,
) -> Result<Vec<Listed>, QueryError> {
    let begin = Instant::now();
    let (skipped, limit) = (query.offset as usize, query.limit as usize);
    let mut listed = Vec::new();
    for start in starts(query) {
        let range = start..query.to;
        let cover = plan::late_rows(&range, known, now);
        let sql = select(scope, query, range.clone(), &cover)?;
        let answer: Answer<(u64, i64, i64, u64, u64)> = store.ask(&sql).await?;
        stats.rows_read += answer.statistics.rows_read;
        let least = if query.filters.is_empty() { start } else { start.saturating_add(GOES_ON) };
        let full = answer.data.len() == skipped + limit && answer.data.last().is_some_and(|(_, finish, ..)| *finish >= least);
        let of_page = answer.data.into_iter().skip(skipped);
        listed = of_page.map(|(hash, finish, begin, low, high)| Listed { hash, who: [low, high], seen: [begin, finish] }).collect();
        if full {
            break;
        }
        if start > query.from && begin.elapsed() > store.connection.options().query_timeout {
            return Err(QueryError::TooExpensive("it takes too long".into()));
        }
    }
    Ok(listed)
}

/// Where the parts of the range begin that are looked at, one after the other: of the newest the hour that goes on and the one before it, which the
/// rollup may hold, then a few days; of other orders all.
fn starts(query: &SessionQuery) -> Vec<i64> {
    let mut starts = Vec::new();
    if query.order == SessionOrder::Newest && !pick_few(&query.filters) {
        // With filters it would never do: see `GOES_ON`.
        let hour_before = query.to.saturating_sub(HOUR);
        let latest = query.filters.is_empty().then(|| hour_before - hour_before.rem_euclid(HOUR)).filter(|latest| *latest > query.from);
        starts.extend(latest);
        // A day that has just begun holds few.
        let recent = query.to - DAY / 2;
        let mut start = recent - recent.rem_euclid(DAY);
        let mut longer = DAY;
        while start > query.from {
            if latest.is_none_or(|latest| start < latest) {
                starts.push(start);
            }
            start = start.saturating_sub(longer);
            longer = longer.saturating_mul(3);
        }
    }
    starts.push(query.from);
    starts
}

/// The days of the sessions, and the one before them: a session that is seen on that one may have begun even earlier. None is silent for a day.
fn around(sessions: &[Listed], all: &Range<i64>) -> Range<i64> {
    let begin = sessions.iter().map(|listed| listed.seen[0]).min().unwrap_or(all.start);
    let finish = sessions.iter().map(|listed| listed.seen[1]).max().unwrap_or(all.end);
    let start = (begin.div_euclid(DAY) - 1) * DAY;
    let end = (finish.div_euclid(DAY) + 1) * DAY;
    start.max(all.start)..end.min(all.end)
}

/// Rows of hash, last and first event (ms), smallest and largest `user_hash`, in order.
fn select(scope: &Scope, query: &SessionQuery, range: Range<i64>, cover: &Cover) -> Result<Sql, QueryError> {
    let of_project = Selection { scope, project: &query.project, kinds: &[], filters: &[] };
    let held = held(&query.filters);
    let cut = cover.rolled.first().filter(|first| first.start % DAY != 0 && !tells_last(query)).map(begun_before);
    let mut sql =
        Sql::new("SELECT hash, toUnixTimestamp64Milli(max(last)) AS finish, toUnixTimestamp64Milli(min(first)), min(who), max(who) FROM (");
    for (n, (table, ranges)) in cover.sources(From::Sessions).enumerate() {
        sql.push(if n == 0 { "" } else { " UNION ALL " });
        sql.push("SELECT session_hash AS hash, user_hash AS who, start AS first, `end` AS last, errors AS failed, 1");
        if held {
            rolled_conditions(&mut sql, &query.filters)?;
        }
        sql.push(" AS meets");
        tenant(&mut sql, table, scope, &query.project)?;
        within(&mut sql, &ranges);
        if cut.is_some() {
            sql.push(" AND start >= ").instant(range.start);
        }
        sql.push(" AND session_hash != 0");
        named(&mut sql, &query.filters, " AND session_hash IN arrayMap(x -> cityHash64(x), ", ")");
    }
    for (n, (ranges, cut)) in [(cover.rest.clone(), None), (cut.iter().cloned().collect(), cut.as_ref())].into_iter().enumerate() {
        if ranges.is_empty() {
            continue;
        }
        sql.push(if cover.rolled.is_empty() && n == 0 { "" } else { " UNION ALL " });
        sql.push("SELECT cityHash64(session) AS hash, user_hash AS who, time AS first, time AS last, ");
        sql.push("if(kind = 'error', toFloat64(weight), 0) AS failed, 1");
        if held {
            conditions(&mut sql, query.filters.iter())?;
        }
        sql.push(" AS meets");
        matching_any(&mut sql, &of_project, &ranges)?;
        sql.push(" AND session != ''");
        named(&mut sql, &query.filters, " AND session IN ", "");
        if let Some(cut) = cut {
            // The first column finds their events sooner than both together.
            for columns in [["user_hash", "user_hash"], ["(user_hash, cityHash64(session))", "user_hash, session_hash"]] {
                sql.push(" AND ").push(columns[0]).push(" IN (SELECT ").push(columns[1]);
                tenant(&mut sql, From::Sessions, scope, &query.project)?;
                within(&mut sql, std::slice::from_ref(cut));
                sql.push(" AND start < ").instant(cut.start);
                if held && query.order == SessionOrder::Newest {
                    // What others order by, sessions of which another day's events meet the filters have on this day, too.
                    rolled_conditions(&mut sql, &query.filters)?;
                }
                sql.push(")");
            }
        }
    }
    sql.push(")");
    if !held {
        sql.push(" WHERE hash IN (SELECT cityHash64(session)");
        matching(&mut sql, &Selection { filters: &query.filters, ..of_project }, range)?;
        sql.push(" AND session != '')");
    }
    sql.push(" GROUP BY hash");
    if held && !query.filters.is_empty() {
        sql.push(" HAVING max(meets)");
    }
    sql.push(match query.order {
        SessionOrder::Newest => " ORDER BY finish DESC, hash",
        SessionOrder::Errors => " ORDER BY round(sum(failed)) DESC, finish DESC, hash",
        SessionOrder::Longest => " ORDER BY finish - toUnixTimestamp64Milli(min(first)) DESC, finish DESC, hash",
    });
    // Those that are passed over are counted here: they tell whether enough was looked at.
    sql.push(" LIMIT ").bind(Value::Integer(i64::from(query.offset) + i64::from(query.limit)));
    Ok(sql)
}

/// What a range holds of the day that it cuts at its beginning. Rows of that day which begin before the range are about sessions of which only the
/// events tell what is in it; they are those that went on at that moment, and few.
fn begun_before(range: &Range<i64>) -> Range<i64> {
    range.start..range.end.min((range.start.div_euclid(DAY) + 1) * DAY)
}

/// Whether a row of the rollup tells if one of its events meets all filters. It has several routes, kinds, issues and users; of conditions on two of
/// these it cannot tell whether one event meets both.
fn held(filters: &[Filter]) -> bool {
    use Field::{
        Browser, Connection, Country, Device, Environment, Fingerprint, Kind, Language, Os, Release, Route, Session, User, Visitor,
    };
    let lists = [Route, Kind, Fingerprint, User].into_iter().filter(|field| filters.iter().any(|filter| filter.field == *field)).count();
    let single = |filter: &Filter| match filter.field {
        Browser | Os | Device | Country | Connection | Language | Release | Environment | Session | Visitor | Route | Kind | User => true,
        // Events without an issue are not in the list of issues.
        Fingerprint => filter.op == Op::In && !filter.values.iter().any(String::is_empty),
        _ => false,
    };
    filters.iter().all(single) && lists < 2
}

/// Whether the last event of a row is all that the list asks of it: then the row may begin before the range.
fn tells_last(query: &SessionQuery) -> bool {
    let changes = |filter: &Filter| matches!(filter.field, Field::Route | Field::Kind | Field::Fingerprint | Field::User);
    query.order == SessionOrder::Newest && held(&query.filters) && !query.filters.iter().any(changes)
}

/// Those of the sessions that have events at the end of a day, told by their hashes.
async fn beginning(
    store: &ClickHouseStore,
    scope: &Scope,
    query: &SessionQuery,
    cut: &Range<i64>,
    sessions: &[Listed],
    stats: &mut Stats,
) -> Result<HashSet<u64>, QueryError> {
    let mut sql = Sql::new("SELECT DISTINCT session_hash");
    tenant(&mut sql, From::Sessions, scope, &query.project)?;
    within(&mut sql, std::slice::from_ref(cut));
    listed(&mut sql, sessions, " AND session_hash");
    let answer: Answer<(u64,)> = store.ask(&sql).await?;
    stats.rows_read += answer.statistics.rows_read;
    Ok(answer.data.into_iter().map(|(hash,)| hash).collect())
}

fn conditions<'a>(sql: &mut Sql, filters: impl Iterator<Item = &'a Filter>) -> Result<(), QueryError> {
    for filter in filters {
        sql.push(" AND ");
        condition(sql, filter)?;
    }
    Ok(())
}

/// ` AND …` for a row of the rollup, with an event that meets all.
fn rolled_conditions(sql: &mut Sql, filters: &[Filter]) -> Result<(), QueryError> {
    conditions(
        sql,
        filters.iter().filter(|filter| !matches!(filter.field, Field::Route | Field::Kind | Field::Fingerprint | Field::User)),
    )?;
    for (field, each, of) in [
        (Field::Route, " AND arrayExists(route -> 1", ", routes)"),
        (Field::Kind, " AND arrayExists(kind -> 1", ", kinds)"),
        (Field::Fingerprint, " AND arrayExists(fingerprint -> 1", ", fingerprints)"),
        (Field::User, " AND arrayExists(user -> 1", ", users)"),
    ] {
        let mut of_field = filters.iter().filter(|filter| filter.field == field).peekable();
        if of_field.peek().is_some() {
            sql.push(each);
            conditions(sql, of_field)?;
            sql.push(of);
        }
    }
    Ok(())
}

async fn ask(store: &ClickHouseStore, sql: &Sql, stats: &mut Stats) -> Result<HashMap<u64, Found>, QueryError> {
    let answer: Answer<Piece> = store.ask(sql).await?;
    stats.rows_read += answer.statistics.rows_read;
    let mut pieces: HashMap<u64, Vec<Piece>> = HashMap::new();
    for piece in answer.data {
        pieces.entry(piece.hash).or_default().push(piece);
    }
    Ok(pieces.into_iter().filter_map(|(hash, pieces)| Some((hash, Found::of(pieces)?))).collect())
}

/// Rows of [`Piece`]: one for each day of each session.
fn details(scope: &Scope, query: &SessionQuery, cover: &Cover, sessions: &[Listed]) -> Result<Sql, QueryError> {
    let mut sql = Sql::default();
    for (n, (table, ranges)) in cover.sources(From::Sessions).enumerate() {
        sql.push(if n == 0 { "" } else { " UNION ALL " });
        sql.push(
            "SELECT session_hash, session, visitor, user, toUnixTimestamp64Milli(start), toUnixTimestamp64Milli(`end`), \
             events, views, errors, clicks, rage_clicks, failures, \
             toString(entry), toString(exit), toString(browser), toString(os), toString(device), toString(country), toString(release)",
        );
        tenant(&mut sql, table, scope, &query.project)?;
        within(&mut sql, &ranges);
        listed(&mut sql, sessions, " AND session_hash");
    }
    if !cover.rest.is_empty() {
        sql.push(if cover.rolled.is_empty() { "" } else { " UNION ALL " });
        sql.push(
            "SELECT cityHash64(session), session, anyIf(visitor, visitor != ''), argMax(user, (user != '', time, seq)), \
             toUnixTimestamp64Milli(min(time)), toUnixTimestamp64Milli(max(time)), sum(toFloat64(weight)), \
             sumIf(toFloat64(weight), kind = 'page_view') AS views, sumIf(toFloat64(weight), kind = 'error'), \
             sumIf(toFloat64(weight), kind = 'click'), sumIf(toFloat64(weight), kind = 'rage_click'), \
             sumIf(toFloat64(weight), failure != ''), \
             if(views > 0, argMinIf(toString(route), (time, seq), kind = 'page_view'), argMin(toString(route), (time, seq))), \
             if(views > 0, argMaxIf(toString(route), (time, seq), kind = 'page_view'), argMax(toString(route), (time, seq))), \
             argMax(toString(browser), time), argMax(toString(os), time), argMax(toString(device), time), \
             argMax(toString(country), time), argMax(toString(release), time)",
        );
        matching_any(&mut sql, &Selection { scope, project: &query.project, kinds: &[], filters: &[] }, &cover.rest)?;
        listed(&mut sql, sessions, " AND cityHash64(session)");
        named(&mut sql, &query.filters, " AND session IN ", "");
        sql.push(" GROUP BY session, toDate(time)");
    }
    Ok(sql)
}

/// What a row tells about a session: one for each day, of the rollup and of the events that it does not hold.
#[derive(Debug, Clone, Default, Deserialize)]
struct Piece {
    hash: u64,
    session: String,
    visitor: String,
    user: String,
    start: i64,
    end: i64,
    events: f64,
    views: f64,
    errors: f64,
    clicks: f64,
    rage_clicks: f64,
    failures: f64,
    entry: String,
    exit: String,
    browser: String,
    os: String,
    device: String,
    country: String,
    release: String,
}

/// What is answered about a session.
#[derive(Debug)]
struct Found {
    start: i64,
    end: i64,
    /// Its pieces overlap (a network that comes and goes): which of them has the first or the last route only the events tell.
    unclear: bool,
    cells: Vec<Cell>,
}

impl Found {
    /// Of all pieces together: there are a few of them, and a server takes longer to read how to do this than we take to do it.
    fn of(mut pieces: Vec<Piece>) -> Option<Found> {
        pieces.sort_by_key(|piece| (piece.start, piece.end));
        let unclear = !pieces.is_sorted_by(|one, next| one.end < next.start);
        let start = pieces.first()?.start;
        let sum = |count: fn(&Piece) -> f64| whole(pieces.iter().map(count).sum::<f64>().round());
        let viewed = pieces.iter().any(|piece| piece.views > 0.0);
        let with_route = || pieces.iter().filter(|piece| !viewed || piece.views > 0.0);
        let latest = pieces.iter().max_by_key(|piece| piece.end)?;
        // Before a visitor agreed, or logged in, there is none.
        let known =
            |name: fn(&Piece) -> &str| pieces.iter().filter(|piece| !name(piece).is_empty()).max_by_key(|piece| piece.end).map_or("", name);
        let cells = vec![
            Cell::from(&*latest.session),
            Cell::from(known(|piece| &piece.visitor)),
            Cell::from(known(|piece| &piece.user)),
            Cell::from(start),
            Cell::from(latest.end),
            sum(|piece| piece.events),
            sum(|piece| piece.views),
            sum(|piece| piece.errors),
            sum(|piece| piece.clicks),
            sum(|piece| piece.rage_clicks),
            sum(|piece| piece.failures),
            Cell::from(&*with_route().min_by_key(|piece| piece.start)?.entry),
            Cell::from(&*with_route().max_by_key(|piece| piece.end)?.exit),
            Cell::from(&*latest.browser),
            Cell::from(&*latest.os),
            Cell::from(&*latest.device),
            Cell::from(&*latest.country),
            Cell::from(&*latest.release),
        ];
        Some(Found { start, end: latest.end, unclear, cells })
    }
}

/// ` AND …`: rows of sessions whose ids filters name. Of others no row is wanted, and both tables find ids sooner than conditions.
fn named(sql: &mut Sql, filters: &[Filter], before: &'static str, after: &'static str) {
    for filter in filters.iter().filter(|filter| filter.field == Field::Session && filter.op == Op::In) {
        sql.push(before).bind(Value::Texts(filter.values.clone())).push(after);
    }
}

/// ` AND …`: rows of these sessions, told by the hash of the visitor, which comes first in the order of the rollup, and by that of the session.
/// Before there is a visitor both are the same.
fn listed(sql: &mut Sql, sessions: &[Listed], session: &'static str) {
    let who: BTreeSet<u64> = sessions.iter().flat_map(|listed| [listed.hash, listed.who[0], listed.who[1]]).collect();
    sql.push(" AND user_hash IN ").numbers(who);
    sql.push(session).push(" IN ").numbers(sessions.iter().map(|listed| listed.hash));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::known::Day;

    fn question(order: SessionOrder, filters: Vec<Filter>) -> SessionQuery {
        let (from, to) = (100 * DAY + 5, 160 * DAY + 9 * HOUR);
        SessionQuery { project: "shop".into(), from, to, filters, order, limit: 50, offset: 0 }
    }

    #[test]
    fn the_newest_are_looked_for_in_the_last_hours_and_then_in_ever_longer_windows_of_days() {
        let days = |days: [i64; 5]| days.map(|day| day * DAY);
        let starts_of = |order| starts(&question(order, Vec::new()));
        let newest = [&[160 * DAY + 8 * HOUR][..], &days([159, 158, 155, 146, 119]), &[100 * DAY + 5]].concat();
        assert_eq!(starts_of(SessionOrder::Newest), newest);
        let late = SessionQuery { to: 160 * DAY + 20 * HOUR, ..question(SessionOrder::Newest, Vec::new()) };
        assert_eq!(starts(&late)[1..3], [160 * DAY, 159 * DAY]);
        assert_eq!(starts_of(SessionOrder::Longest), [100 * DAY + 5]);
    }

    #[test]
    fn rows_are_whole_on_closed_days_and_on_the_open_one_up_to_the_present() {
        let day = |day: i64, until| (day, Day { until, ..Day::default() });
        // The last day has events, which are in no rollup yet.
        let days = [day(100, 101 * DAY), day(101, 102 * DAY), day(102, 102 * DAY + 9 * HOUR), day(103, 103 * DAY)];
        let known = Known { days: days.into(), ..Known::default() };
        let now = 102 * DAY + 9 * HOUR + 5;
        let all = plan::whole_rows(&(100 * DAY + 7..104 * DAY), &known, now);
        assert_eq!(all.rolled, std::slice::from_ref(&(101 * DAY..102 * DAY + 9 * HOUR)));
        assert_eq!(all.rest, [100 * DAY + 7..101 * DAY, 102 * DAY + 9 * HOUR..104 * DAY]);
        // A later build may have added hours behind the end of the range.
        assert_eq!(plan::whole_rows(&(102 * DAY..now), &known, now + HOUR).rolled, []);
        assert_eq!(plan::whole_rows(&(102 * DAY..now), &known, now).rolled.len(), 1);
    }

    #[test]
    fn a_session_is_put_together_of_its_days() {
        let first = Piece { start: 10, end: 20, views: 1.0, events: 2.4, entry: "/a".into(), exit: "/b".into(), ..Piece::default() };
        let named = Piece { start: 30, end: 40, user: "u".into(), visitor: "v".into(), browser: "Firefox".into(), ..first.clone() };
        // Without a page view its routes count only when no other has one.
        let last = Piece { start: 50, end: 60, views: 0.0, exit: "/c".into(), browser: "Safari".into(), ..first.clone() };
        let found = Found::of(vec![last.clone(), first.clone(), named]).unwrap();
        assert_eq!((found.start, found.end, found.unclear), (10, 60, false));
        let column = |name: &str| &found.cells[SessionQuery::COLUMNS.iter().position(|column| *column == name).unwrap()];
        assert_eq!(found.cells.len(), SessionQuery::COLUMNS.len());
        assert_eq!(
            [column("visitor"), column("user"), column("entry"), column("exit"), column("browser")],
            ["v", "u", "/a", "/b", "Safari"]
        );
        assert_eq!([column("start"), column("end"), column("events"), column("views")].map(Cell::as_i64), [10, 60, 7, 2].map(Some));
        let silent = Found::of(vec![Piece { views: 0.0, ..first.clone() }, last]).unwrap();
        assert_eq!(silent.cells[12], "/c");
        assert!(Found::of(vec![first.clone(), Piece { start: 20, ..first }]).unwrap().unclear);
        assert!(Found::of(Vec::new()).is_none());
    }

    #[test]
    fn the_rollup_answers_filters_that_a_row_can_tell() {
        let is = |field: Field, value: &str| Filter { field, op: Op::In, values: vec![value.into()] };
        assert!(held(&[is(Field::Browser, "x"), is(Field::Route, "x")]));
        assert!(held(&[is(Field::Kind, "x"), is(Field::Visitor, "x")]));
        assert!(!held(&[is(Field::Kind, "x"), is(Field::Route, "x")]));
        assert!(held(&[is(Field::Fingerprint, "x"), is(Field::Browser, "x")]));
        assert!(!held(&[is(Field::Fingerprint, "x"), is(Field::Kind, "x")]));
        assert!(!held(&[Filter { op: Op::NotIn, ..is(Field::Fingerprint, "x") }]));
        assert!(held(&[is(Field::User, "")]));
        assert!(!held(&[is(Field::User, "x"), is(Field::Route, "x")]));
        assert!(!held(&[is(Field::Attribute("plan".into()), "x")]));
    }
}
