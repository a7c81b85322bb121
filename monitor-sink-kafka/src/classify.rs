//! What an error of a producer means for the batch. The only file that knows librdkafka's and Kafka's codes for producing.

use std::time::Duration;

use monitor_core::WriteError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use Class::{Busy, Data, Setup};
use RDKafkaErrorCode as Code;

/// Somebody has to change something first: asking at short intervals only fills logs.
const WAIT_FOR_SETUP: Duration = Duration::from_secs(30);

/// What an error means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// The same batch can succeed later.
    Busy,
    /// It can succeed when somebody has changed brokers, topics or rights.
    Setup,
    /// Something in the batch cannot be written.
    Data,
}

/// Codes below zero are librdkafka's own, the others are the brokers'. What is not listed waits for a person: it must neither be
/// thrown away nor be asked for in a loop.
const CODES: &[(Code, Class)] = &[
    (Code::BadMessage, Busy),
    (Code::BadCompression, Busy),
    (Code::BrokerDestroy, Busy),
    (Code::Fail, Busy),
    (Code::BrokerTransportFailure, Busy),
    (Code::CriticalSystemResource, Busy),
    (Code::Resolve, Busy),
    (Code::MessageTimedOut, Busy),
    (Code::UnknownPartition, Busy),
    (Code::UnknownTopic, Setup),
    (Code::AllBrokersDown, Busy),
    (Code::OperationTimedOut, Busy),
    (Code::QueueFull, Busy),
    (Code::ISRInsufficient, Busy),
    (Code::SSL, Setup),
    (Code::State, Busy),
    (Code::Authentication, Setup),
    (Code::TimedOutQueue, Busy),
    (Code::WaitCache, Busy),
    (Code::Interrupted, Busy),
    (Code::Retry, Busy),
    (Code::PurgeQueue, Busy),
    (Code::PurgeInflight, Busy),
    // The producer gave up its guarantee; the next one begins anew.
    (Code::Fatal, Busy),
    (Code::Inconsistent, Busy),
    (Code::GaplessGuarantee, Busy),
    (Code::DestroyBroker, Busy),
    (Code::Unknown, Busy),
    // Damaged on the way.
    (Code::InvalidMessage, Busy),
    (Code::UnknownTopicOrPartition, Setup),
    (Code::InvalidMessageSize, Data),
    (Code::LeaderNotAvailable, Busy),
    (Code::NotLeaderForPartition, Busy),
    (Code::RequestTimedOut, Busy),
    (Code::BrokerNotAvailable, Busy),
    (Code::ReplicaNotAvailable, Busy),
    (Code::MessageSizeTooLarge, Data),
    (Code::NetworkException, Busy),
    (Code::CoordinatorLoadInProgress, Busy),
    (Code::CoordinatorNotAvailable, Busy),
    (Code::NotCoordinator, Busy),
    (Code::InvalidTopic, Setup),
    (Code::MessageBatchTooLarge, Data),
    (Code::NotEnoughReplicas, Busy),
    (Code::NotEnoughReplicasAfterAppend, Busy),
    (Code::InvalidRequiredAcks, Setup),
    (Code::TopicAuthorizationFailed, Setup),
    (Code::ClusterAuthorizationFailed, Setup),
    // Of producing, not of the event: this machine's clock is wrong.
    (Code::InvalidTimestamp, Setup),
    (Code::NotController, Busy),
    (Code::PolicyViolation, Setup),
    (Code::OutOfOrderSequenceNumber, Busy),
    (Code::DuplicateSequenceNumber, Busy),
    (Code::InvalidProducerEpoch, Busy),
    (Code::InvalidProducerIdMapping, Busy),
    (Code::KafkaStorageError, Busy),
    (Code::LogDirNotFound, Busy),
    (Code::SaslAuthenticationFailed, Setup),
    (Code::UnknownProducerId, Busy),
    (Code::FencedLeaderEpoch, Busy),
    (Code::UnknownLeaderEpoch, Busy),
    (Code::UnsupportedCompressionType, Setup),
    (Code::InvalidRecord, Data),
    (Code::ThrottlingQuotaExceeded, Busy),
    (Code::UnknownTopicId, Busy),
];

/// What a code means.
pub(crate) fn classify(code: Code) -> Class {
    CODES.iter().find(|(listed, _)| *listed == code).map_or(Setup, |(_, class)| *class)
}

/// Whether the topic is not there.
pub(crate) fn is_missing_topic(code: Code) -> bool {
    matches!(code, Code::UnknownTopic | Code::UnknownTopicOrPartition)
}

/// A message was not delivered.
#[derive(Debug, thiserror::Error)]
#[error("a message for the topic {topic} was not delivered")]
pub(crate) struct NotDelivered {
    pub(crate) topic: String,
    /// The code alone: the error around it would say the same twice.
    pub(crate) source: Code,
}

impl NotDelivered {
    pub(crate) fn new(topic: &str, error: &KafkaError) -> NotDelivered {
        NotDelivered { topic: topic.to_owned(), source: error.rdkafka_error_code().unwrap_or(Code::Unknown) }
    }

    pub(crate) fn class(&self) -> Class {
        classify(self.source)
    }

    /// Whether it failed only because the producer had given up for another reason.
    pub(crate) fn is_consequence(&self) -> bool {
        matches!(self.source, Code::PurgeQueue | Code::PurgeInflight | Code::Fatal)
    }
}

impl From<NotDelivered> for WriteError {
    fn from(error: NotDelivered) -> WriteError {
        match error.class() {
            Busy => WriteError::retryable(error),
            Setup => WriteError::retryable(error).after(WAIT_FOR_SETUP),
            Data => WriteError::rejected(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_error(code: Code) -> WriteError {
        NotDelivered::new("t", &KafkaError::MessageProduction(code)).into()
    }

    #[test]
    fn every_listed_code_leads_to_its_outcome() {
        for &(code, class) in CODES {
            assert_eq!(classify(code), class, "{code:?}");
            let error = write_error(code);
            assert_eq!(error.is_retryable(), class != Data, "{code:?}");
            assert_eq!(error.retry_after().is_some(), class == Setup, "{code:?}");
            assert!(error.report().contains("for the topic t"), "{code:?}: {}", error.report());
        }
        assert!(CODES.is_sorted_by(|a, b| (a.0 as i32) < (b.0 as i32)), "a code is listed twice or out of order");
    }

    #[test]
    fn only_what_the_event_is_to_blame_for_is_refused() {
        let refused: Vec<Code> = CODES.iter().filter(|(_, class)| *class == Data).map(|(code, _)| *code).collect();
        let expected = [Code::InvalidMessageSize, Code::MessageSizeTooLarge, Code::MessageBatchTooLarge, Code::InvalidRecord];
        assert_eq!(refused, expected);
    }

    #[test]
    fn an_unlisted_code_waits_for_a_person() {
        for code in [Code::UnknownGroup, Code::SecurityDisabled, Code::UnsupportedVersion] {
            assert_eq!(classify(code), Setup, "{code:?}");
        }
    }
}
