//! Shared queues (docs/envoy.md 2.8).

use super::LimitReached;
use std::collections::VecDeque;
use std::fmt;

/// All messages that wait in the queues of a stage, and the names of those, in bytes (16 MiB). A filter whose consumer never comes
/// would fill the machine otherwise; Envoy has no limit here.
pub(crate) const QUEUE_LIMIT: usize = 16 << 20;
/// Most queues of a stage. Names usually are few and fixed; a name made from a request would never be freed.
pub(crate) const QUEUES_LIMIT: usize = 4096;

/// The root context that is told about messages: the one that registered last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    /// Number of the VM in the stage.
    pub(crate) vm: usize,
    /// Its root context.
    pub(crate) context: u32,
}

/// The queues of a stage. Tokens are 1, 2, … in order of registration; messages stay until taken.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    queues: Vec<Queue>,
    used: usize,
}

#[derive(Debug)]
struct Queue {
    vm_id: String,
    name: Vec<u8>,
    owner: Owner,
    messages: VecDeque<Vec<u8>>,
}

/// Why a queue did not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueError {
    /// No queue has this token: status 1.
    Unknown,
    /// The queues are full: a fault.
    Full(LimitReached),
}

/// What a message costs beside its bytes, roughly.
const MESSAGE_COST: usize = 32;

const FULL: LimitReached = LimitReached { what: "shared queues", limit: QUEUE_LIMIT, unit: "bytes" };
const TOO_MANY: LimitReached = LimitReached { what: "list of queues", limit: QUEUES_LIMIT, unit: "names" };

impl Queues {
    /// Makes the queue or finds it, and makes `owner` its receiver; gives the token.
    ///
    /// # Errors
    /// When there are too many queues.
    pub(crate) fn register(&mut self, vm_id: &str, name: &[u8], owner: Owner) -> Result<u32, LimitReached> {
        if let Some(token) = self.resolve(vm_id, name) {
            self.queues[token as usize - 1].owner = owner;
            return Ok(token);
        }
        if self.queues.len() == QUEUES_LIMIT {
            return Err(TOO_MANY);
        }
        // A name stays for good.
        let used = self.used + name.len();
        if used > QUEUE_LIMIT {
            return Err(FULL);
        }
        self.used = used;
        let (vm_id, name) = (vm_id.to_owned(), name.to_vec());
        self.queues.push(Queue { vm_id, name, owner, messages: VecDeque::new() });
        Ok(self.queues.len() as u32)
    }

    /// The token of a queue. The caller puts its own `vm_id` where the filter gave an empty one.
    pub(crate) fn resolve(&self, vm_id: &str, name: &[u8]) -> Option<u32> {
        let at = self.queues.iter().position(|q| q.vm_id == vm_id && q.name == name)?;
        Some(at as u32 + 1)
    }

    /// Appends a message; says who has to be told, once for each message and after the current event.
    ///
    /// # Errors
    /// When the token is unknown or the queues are full.
    pub(crate) fn enqueue(&mut self, token: u32, message: &[u8]) -> Result<Owner, QueueError> {
        let used = self.used + message.len() + MESSAGE_COST;
        let queue = self.queue(token).ok_or(QueueError::Unknown)?;
        if used > QUEUE_LIMIT {
            return Err(QueueError::Full(FULL));
        }
        queue.messages.push_back(message.to_vec());
        let owner = queue.owner;
        self.used = used;
        Ok(owner)
    }

    /// Takes the oldest message; none when the queue is empty (status 7).
    ///
    /// # Errors
    /// When the token is unknown.
    pub(crate) fn dequeue(&mut self, token: u32) -> Result<Option<Vec<u8>>, QueueError> {
        let message = self.queue(token).ok_or(QueueError::Unknown)?.messages.pop_front();
        self.used -= message.as_ref().map_or(0, |m| m.len() + MESSAGE_COST);
        Ok(message)
    }

    fn queue(&mut self, token: u32) -> Option<&mut Queue> {
        self.queues.get_mut((token as usize).checked_sub(1)?)
    }
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("no queue has this token"),
            Self::Full(limit) => limit.fmt(f),
        }
    }
}

impl std::error::Error for QueueError {}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Owner = Owner { vm: 0, context: 1 };
    const B: Owner = Owner { vm: 1, context: 1 };

    #[test]
    fn envoy_2_8_register_is_idempotent_and_tokens_count_from_1() {
        let mut queues = Queues::default();
        assert_eq!(queues.register("vm", b"one", A), Ok(1));
        assert_eq!(queues.register("vm", b"two", A), Ok(2));
        assert_eq!(queues.register("other", b"one", A), Ok(3));
        assert_eq!(queues.register("vm", b"one", B), Ok(1));
        assert_eq!(queues.resolve("vm", b"one"), Some(1));
        assert_eq!(queues.resolve("vm", b"three"), None);
        assert_eq!(queues.enqueue(1, b"m"), Ok(B), "the last to register is told");
    }

    #[test]
    fn envoy_2_8_messages_stay_until_taken_in_order() {
        let mut queues = Queues::default();
        queues.register("", b"q", A).unwrap();
        queues.enqueue(1, b"a").unwrap();
        queues.enqueue(1, b"").unwrap();
        assert_eq!(queues.dequeue(1), Ok(Some(b"a".to_vec())));
        assert_eq!(queues.dequeue(1), Ok(Some(Vec::new())));
        assert_eq!(queues.dequeue(1), Ok(None));
        for unknown in [0, 2, u32::MAX] {
            assert_eq!(queues.enqueue(unknown, b"x"), Err(QueueError::Unknown));
            assert_eq!(queues.dequeue(unknown), Err(QueueError::Unknown));
        }
    }

    #[test]
    fn the_limit_bites_and_taking_gives_room_back() {
        let mut queues = Queues::default();
        queues.register("", b"q", A).unwrap();
        let large = vec![0; QUEUE_LIMIT - 2 * MESSAGE_COST];
        queues.enqueue(1, &large).unwrap();
        assert_eq!(queues.enqueue(1, b"x"), Err(QueueError::Full(FULL)));
        queues.dequeue(1).unwrap();
        assert_eq!(queues.enqueue(1, b"x"), Ok(A));
    }
}
