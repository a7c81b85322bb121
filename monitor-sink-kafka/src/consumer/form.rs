//! From messages to a batch: decoded, without copies, processed. A function of the chunk and of what is known about copies.

use std::{collections::HashMap, sync::Arc};

use monitor_core::{Batch, BatchId, Draft, Envelope, EventId, Processor};

use crate::{
    consumer::{chunk::Chunk, copies::Copies},
    record::{Reader, decode},
};

/// What became of the messages of a chunk.
pub(crate) struct Formed {
    pub(crate) batch: Batch,
    /// Messages that hold no event: position in the chunk and why.
    pub(crate) unreadable: Vec<(usize, String)>,
    /// Events left out, because they were seen before.
    pub(crate) copies: u64,
    /// Events that processors dropped, by reason.
    pub(crate) dropped: Vec<(&'static str, u64)>,
}

/// The id of the batch that these messages make: the same for whoever reads them. What is `again` read on purpose has another one,
/// since a store may remember ids longer than rows.
pub(crate) fn batch_id(topic: &str, partition: i32, chunk: &Chunk, again: Option<i64>) -> BatchId {
    let (first, last) = chunk.bounds().unwrap_or_default();
    let id = format!("{topic}-{partition}-{first}-{last}-{:08x}", chunk.checksum());
    BatchId::new(match again {
        Some(number) => format!("{id}-{number}"),
        None => id,
    })
}

/// Makes the batch. `repeated` says that its events may have been written in batches of other bounds, or so long ago that the
/// store has forgotten the batch's id.
pub(crate) fn form(id: BatchId, repeated: bool, chunk: &Chunk, copies: &mut Copies, processors: &[Arc<dyn Processor>]) -> Formed {
    let mut envelopes: Vec<Envelope> = Vec::new();
    let mut unreadable = Vec::new();
    let mut left_out = 0;
    let (mut reader, mut attempt) = (Reader::default(), 1);
    for (position, raw) in chunk.messages().enumerate() {
        let event = match reader.read(raw.payload) {
            Ok((None, event)) => event,
            Ok((Some(origin), event)) => {
                attempt = origin.attempt;
                envelopes.push(Envelope { origin, events: Vec::new() });
                event
            }
            Err(error) => {
                unreadable.push((position, crate::report(&error)));
                continue;
            }
        };
        // Without one nothing was read.
        let Some(Envelope { origin, events }) = envelopes.last_mut() else { continue };
        match copies.attempt(attempt, origin, &event, raw.time) {
            None => left_out += 1,
            Some(declared) if declared == origin.attempt => events.push(event),
            Some(declared) => {
                let mut origin = origin.clone();
                origin.attempt = declared;
                envelopes.push(Envelope { origin, events: vec![event] });
            }
        }
    }
    envelopes.retain(|envelope| !envelope.events.is_empty());
    let mut draft = Draft::new(id.clone(), envelopes);
    for processor in processors {
        processor.process(&mut draft);
    }
    let (envelopes, dropped) = draft.end();
    let batch = Batch::new(id, envelopes);
    Formed { batch: if repeated { batch.mark_repeated() } else { batch }, unreadable, copies: left_out, dropped }
}

/// Where in the chunk the events are, by project and id. What is not there was made by a processor.
pub(crate) fn positions(chunk: &Chunk) -> HashMap<(String, EventId), usize> {
    let mut positions = HashMap::new();
    for (position, raw) in chunk.messages().enumerate() {
        if let Ok((origin, event)) = decode(raw.payload) {
            positions.entry((origin.project, event.id)).or_insert(position);
        }
    }
    positions
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use monitor_core::{Each, Enricher, Event, Kind, Origin, Verdict};

    use super::*;
    use crate::{consumer::chunk::Raw, record::encode};

    fn payload(id: u128, name: &str) -> Vec<u8> {
        let mut payload = Vec::new();
        encode(&Origin::new("shop", 1_732_096_800_000), &Event::new(EventId(id), 1_732_096_800_000, Kind::Track, name), &mut payload);
        payload
    }

    fn chunk(payloads: &[Vec<u8>]) -> Chunk {
        let mut chunk = Chunk::default();
        for (payload, offset) in payloads.iter().zip(7..) {
            chunk.push(Raw { offset, time: 1_732_096_800_100, key: b"", payload }, Instant::now());
        }
        chunk
    }

    #[test]
    fn events_of_one_request_share_an_envelope_unless_some_are_declared() {
        let message = |id: u128, attempt: u32, session: &str| {
            let mut origin = Origin::new("shop", 1_732_096_800_000);
            (origin.attempt, origin.session) = (attempt, session.into());
            let mut payload = Vec::new();
            encode(&origin, &Event::new(EventId(id), 1_732_096_800_000, Kind::Track, "x"), &mut payload);
            payload
        };
        let payloads =
            [message(1, 1, "a"), message(2, 1, "a"), message(2, 1, "a"), message(3, 1, "b"), message(3, 2, "b"), message(4, 0, "b")];
        let chunk = chunk(&payloads);
        let formed = form(batch_id("t", 0, &chunk, None), false, &chunk, &mut Copies::default(), &[]);
        let envelopes: Vec<_> = formed
            .batch
            .envelopes()
            .iter()
            .map(|envelope| {
                let ids: Vec<u128> = envelope.events.iter().map(|event| event.id.0).collect();
                (envelope.origin.session.as_str(), envelope.origin.attempt, ids)
            })
            .collect();
        assert_eq!(envelopes, [("a", 1, vec![1, 2]), ("b", 1, vec![3]), ("b", 2, vec![4])]);
        assert_eq!(formed.copies, 2);
        // What is forgotten is declared event by event, in one envelope.
        let mut copies = Copies::default();
        copies.begin(i64::MAX);
        let formed = form(batch_id("t", 0, &chunk, None), false, &chunk, &mut copies, &[]);
        assert!(formed.batch.events().all(|(origin, _)| origin.attempt == 2));
    }

    struct NoSecrets;

    impl Enricher for NoSecrets {
        fn name(&self) -> &'static str {
            "no_secrets"
        }

        fn enrich(&self, event: &mut Event, _origin: &Origin) -> Verdict {
            if event.name == "secret" { Verdict::Drop("secret") } else { Verdict::Keep }
        }
    }

    #[test]
    fn every_message_is_accounted_for() {
        let payloads = [payload(1, "a"), payload(2, "secret"), b"{".to_vec(), payload(1, "a"), payload(3, "b")];
        let chunk = chunk(&payloads);
        let id = batch_id("monitor.behavior", 4, &chunk, None);
        let formed = form(id.clone(), false, &chunk, &mut Copies::default(), &[Arc::new(Each(NoSecrets))]);
        let names: Vec<_> = formed.batch.events().map(|(_, event)| event.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!((formed.copies, formed.dropped), (1, vec![("secret", 1)]));
        assert!(matches!(&formed.unreadable[..], [(2, reason)] if !reason.is_empty()), "{:?}", formed.unreadable);
        assert!(id.as_str().starts_with("monitor.behavior-4-7-11-"), "{id}");
        assert_eq!(batch_id("monitor.behavior", 4, &chunk, Some(5)).as_str(), format!("{id}-5"));
        let positions = positions(&chunk);
        assert_eq!(positions.get(&("shop".into(), EventId(3))), Some(&4));
        assert_eq!(positions.get(&("bank".into(), EventId(3))), None);
    }
}
