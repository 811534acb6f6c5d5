-- Dead letters that a person has closed: events that nobody can or need apply any more. They lie in Kafka, where nothing can be written
-- beside them; the record is here, in the database of the consumer that refused them, beside its inbox. Rows are added and never
-- changed: `backbone dlq settle` writes them, `dlq list` and the audit read them.
create table dead_letter_settlement (
    consumer text not null,
    -- The event type whose dead letters it lies in, without the suffix.
    topic text not null,
    -- What was refused: `event <id>`, or `place <partition>/<offset>` of a record that is no event.
    subject text not null,
    -- Letters refused up to then are closed. One refused later, under the same id or at the same place, is open again.
    refused_until timestamptz not null,
    settled_at timestamptz not null default now(),
    -- Who says so, and why. For people; no personal data of shoppers.
    settled_by text not null constraint dead_letter_settlement_by_known check (settled_by <> ''),
    reason text not null constraint dead_letter_settlement_reason_given check (length(trim(reason)) between 1 and 1000),
    constraint dead_letter_settlement_pk primary key (consumer, topic, subject, refused_until)
);
