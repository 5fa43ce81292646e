//! Gateway frames: both shapes, lenient reading, and content that must vanish.

use chrono::{DateTime, Utc};
use community::parse::discord::{Event, Frame, GatewayReader, Membership, Message, VoiceState};
use community::parse::{Ignored, Problem, Reason};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::real_inputs;

const RECEIVED_MILLISECONDS: i64 = 1_795_345_709_476;

fn received() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(RECEIVED_MILLISECONDS).unwrap()
}

fn wrapped(name: &str, data: &Value) -> String {
    json!({"at_ms": RECEIVED_MILLISECONDS, "from": "server", "frame": {"op": 0, "t": name, "s": 7, "d": data}})
        .to_string()
}

fn bare(name: &str, data: &Value) -> String {
    json!({"op": 0, "t": name, "s": 7, "d": data}).to_string()
}

fn read(line: &str) -> Frame {
    GatewayReader::default().read(line).unwrap()
}

fn event(line: &str) -> Event {
    let mut frame = read(line);
    assert_eq!((frame.problems.as_slice(), frame.ignored), ([].as_slice(), None), "{line}");
    assert_eq!(frame.events.len(), 1, "{line}");
    frame.events.remove(0)
}

fn problem(line: &str) -> Problem {
    let frame = read(line);
    assert_eq!((frame.events.as_slice(), frame.problems.len()), ([].as_slice(), 1), "{line}");
    frame.problems.first().copied().unwrap()
}

fn voice_state() -> VoiceState {
    VoiceState {
        guild_id: 10,
        user_id: 20,
        channel_id: Some(30),
        afk: false,
        bot: false,
        voice_session: Some("TGGSRHSBTF".to_owned()),
        at: received(),
        snapshot: false,
    }
}

#[test]
fn a_voice_state_with_and_without_a_channel() {
    let data =
        json!({"guild_id": "10", "user_id": 20, "channel_id": "30", "session_id": "TGGSRHSBTF", "self_mute": true});
    assert_eq!(event(&wrapped("VOICE_STATE_UPDATE", &data)), Event::VoiceState(voice_state()));
    let data = json!({"guild_id": "10", "user_id": "20", "channel_id": null, "session_id": "TGGSRHSBTF"});
    let left = VoiceState { channel_id: None, ..voice_state() };
    assert_eq!(event(&wrapped("VOICE_STATE_UPDATE", &data)), Event::VoiceState(left));
    // Without the field nothing is known, least of all that somebody left.
    let data = json!({"guild_id": "10", "user_id": "20"});
    assert_eq!(
        problem(&wrapped("VOICE_STATE_UPDATE", &data)),
        Problem::new(Reason::MissingField, "VOICE_STATE_UPDATE")
    );
    let data = json!({"guild_id": "10", "user_id": "20", "channel_id": "thirty"});
    assert_eq!(
        problem(&wrapped("VOICE_STATE_UPDATE", &data)),
        Problem::new(Reason::MalformedField, "VOICE_STATE_UPDATE")
    );
}

#[test]
fn a_bare_voice_state_needs_an_instant_from_elsewhere() {
    let data = json!({"guild_id": "10", "user_id": "20", "channel_id": "30", "session_id": "TGGSRHSBTF"});
    let line = bare("VOICE_STATE_UPDATE", &data);
    assert_eq!(problem(&line), Problem::new(Reason::NoTime, "VOICE_STATE_UPDATE"));
    let frame = GatewayReader::new(Some(received())).read(&line).unwrap();
    assert_eq!(frame.events, [Event::VoiceState(voice_state())]);
    assert_eq!(frame.evidence, None, "nothing proves that the bot was connected at a given instant");
}

#[test]
fn a_message_is_a_length() {
    let data = json!({
        "id": "1574018730344640606", "channel_id": "40", "guild_id": "10", "author": {"id": "20", "username": "alice"},
        "content": "gr\u{fc}\u{df}e \u{1f44b}", "timestamp": "2026-11-22T11:08:29.195000+00:00",
    });
    let expected = Message {
        guild_id: 10,
        channel_id: 40,
        message_id: 1_574_018_730_344_640_606,
        user_id: 20,
        bot: false,
        characters: 7,
        at: "2026-11-22T11:08:29.195Z".parse().unwrap(),
    };
    assert_eq!(event(&wrapped("MESSAGE_CREATE", &data)), Event::Message(expected.clone()));
    assert_eq!(event(&bare("MESSAGE_CREATE", &data)), Event::Message(expected.clone()));

    let mut without_time = data.clone();
    without_time.as_object_mut().unwrap().remove("timestamp");
    let from_id = Message { at: "2026-11-22T11:08:29.168Z".parse().unwrap(), ..expected.clone() };
    assert_eq!(event(&bare("MESSAGE_CREATE", &without_time)), Event::Message(from_id));
    *without_time.get_mut("id").unwrap() = json!("123");
    assert_eq!(problem(&bare("MESSAGE_CREATE", &without_time)), Problem::new(Reason::NoTime, "MESSAGE_CREATE"));

    // Half a surrogate pair is no text, but a length.
    let line = bare("MESSAGE_CREATE", &data).replace("gr\u{fc}", "\\ud83d");
    let Event::Message(message) = event(&line) else { panic!("{line}") };
    assert_eq!(message.characters, 5);
}

#[test]
fn messages_that_are_not_somebodys_words_in_a_guild() {
    let data = json!({"id": "1574018730344640606", "channel_id": "40", "author": {"id": "20"}, "content": "planted"});
    assert_eq!(read(&wrapped("MESSAGE_CREATE", &data)).ignored, Some(Ignored::DirectMessage));
    let data =
        json!({"id": "1574018730344640606", "channel_id": "40", "guild_id": "10", "type": 7, "author": {"id": "20"}});
    assert_eq!(read(&wrapped("MESSAGE_CREATE", &data)).ignored, Some(Ignored::SystemMessage));
    let data = json!({"id": "1574018730344640606", "channel_id": "40", "guild_id": "10", "webhook_id": "5", "author": {"id": "5"}});
    let Event::Message(message) = event(&wrapped("MESSAGE_CREATE", &data)) else { panic!("a webhook") };
    assert!(message.bot);
}

#[test]
fn members_come_and_go() {
    let joined = json!({"guild_id": "10", "joined_at": "2026-11-22T11:10:36.365Z", "user": {"id": "20", "bot": false}});
    let membership = |joined, at: &str| {
        Event::Membership(Membership { guild_id: 10, user_id: 20, bot: false, joined, at: at.parse().unwrap() })
    };
    let expected = membership(true, "2026-11-22T11:10:36.365Z");
    assert_eq!(event(&wrapped("GUILD_MEMBER_ADD", &joined)), expected);
    assert_eq!(event(&bare("GUILD_MEMBER_ADD", &joined)), expected);
    let left = json!({"guild_id": "10", "user": {"id": "20"}});
    assert_eq!(event(&wrapped("GUILD_MEMBER_REMOVE", &left)), membership(false, &received().to_rfc3339()));
    assert_eq!(problem(&bare("GUILD_MEMBER_REMOVE", &left)).reason, Reason::NoTime);
    let nobody = json!({"guild_id": "10", "joined_at": "2026-11-22T11:10:36.365Z"});
    assert_eq!(problem(&bare("GUILD_MEMBER_ADD", &nobody)).reason, Reason::MissingField);
}

#[test]
fn a_snapshot_names_everybody_in_voice_and_survives_a_broken_entry() {
    let data = json!({
        "id": "10", "afk_channel_id": "31",
        "members": [
            {"user": {"id": "21", "bot": true}, "joined_at": "2026-11-01T10:00:00Z"},
            {"user": "broken"},
        ],
        "voice_states": [
            {"user_id": "20", "channel_id": "30", "session_id": "TGGSRHSBTF"},
            {"user_id": "21", "channel_id": "31", "session_id": "what is this?"},
            {"user_id": [], "channel_id": "30"},
        ],
    });
    let frame = read(&wrapped("GUILD_CREATE", &data));
    let at = received();
    assert_eq!(
        frame.events,
        [
            Event::Membership(Membership {
                guild_id: 10,
                user_id: 21,
                bot: true,
                joined: true,
                at: "2026-11-01T10:00:00Z".parse().unwrap(),
            }),
            Event::VoiceState(VoiceState { snapshot: true, ..voice_state() }),
            Event::VoiceState(VoiceState {
                user_id: 21,
                channel_id: Some(31),
                afk: true,
                bot: true,
                voice_session: None,
                snapshot: true,
                ..voice_state()
            }),
            Event::Snapshot { guild_id: 10, at },
        ]
    );
    assert_eq!(
        frame.problems,
        [
            Problem::new(Reason::MalformedField, "GUILD_CREATE member"),
            Problem::new(Reason::MalformedField, "GUILD_CREATE voice state"),
        ]
    );
    // An unavailable guild contradicts nobody.
    let frame = read(&wrapped("GUILD_CREATE", &json!({"id": "10", "unavailable": true})));
    assert_eq!((frame.events.len(), frame.problems.len()), (0, 0));
}

#[test]
fn the_afk_channel_is_remembered_and_may_move() {
    let mut reader = GatewayReader::default();
    let state = |channel: &str| {
        wrapped("VOICE_STATE_UPDATE", &json!({"guild_id": "10", "user_id": "20", "channel_id": channel}))
    };
    let mut afk = |line: &str| match reader.read(line).unwrap().events.first() {
        Some(Event::VoiceState(state)) => Some(state.afk),
        _ => None,
    };
    assert_eq!(afk(&state("31")), Some(false));
    afk(&wrapped("GUILD_CREATE", &json!({"id": "10", "afk_channel_id": "31"})));
    assert_eq!(afk(&state("31")), Some(true));
    assert_eq!(afk(&state("30")), Some(false));
    afk(&wrapped("GUILD_UPDATE", &json!({"id": "10", "name": "no word of the channel"})));
    assert_eq!(afk(&state("31")), Some(true));
    afk(&wrapped("GUILD_UPDATE", &json!({"id": "10", "afk_channel_id": null})));
    assert_eq!(afk(&state("31")), Some(false));
}

#[test]
fn evidence_comes_from_the_server_alone() {
    let heartbeat = json!({"at_ms": RECEIVED_MILLISECONDS, "from": "server", "frame": {"op": 11}}).to_string();
    assert_eq!(read(&heartbeat).evidence, Some(received()));
    assert_eq!(read(&heartbeat.replace("server", "client")).evidence, None);
    assert_eq!(read(&heartbeat.replace("server", "client")).ignored, Some(Ignored::ClientFrame));
    assert_eq!(read(&wrapped("SOMETHING_NEW", &json!([1]))).evidence, Some(received()));
    assert!(read(&wrapped("READY", &json!({"user": {"id": "9", "bot": true}}))).begins_connection);
    // Seconds where milliseconds belong lie in January 1970, years before any guild.
    let seconds = heartbeat.replace(&RECEIVED_MILLISECONDS.to_string(), "99999999999999999");
    assert_eq!(problem(&seconds), Problem::new(Reason::ImplausibleTime, "frame"));
}

#[test]
fn what_is_no_frame_is_said_without_its_text() {
    for (line, reason) in [
        ("{", Reason::NotJson),
        ("planted text", Reason::NotJson),
        ("[1,2]", Reason::NotAFrame),
        ("\"planted\"", Reason::NotAFrame),
        ("{\"planted\": 1}", Reason::NotAFrame),
        ("{\"op\": \"planted\"}", Reason::NotAFrame),
        ("{\"at_ms\": 1, \"frame\": \"planted\"}", Reason::NotAFrame),
    ] {
        let problem = GatewayReader::default().read(line).unwrap_err();
        assert_eq!(problem.reason, reason, "{line}");
        assert!(!format!("{problem:?}").contains("planted"));
    }
    assert_eq!(read("").ignored, Some(Ignored::Empty));
    let deep = "[".repeat(200_000);
    assert!(GatewayReader::default().read(&deep).is_err());
    let deep = bare("MESSAGE_CREATE", &json!({"x": 1})).replace("{\"x\":1}", &format!("{deep}{}", "]".repeat(200_000)));
    let _ = GatewayReader::default().read(&deep);
}

proptest! {
    #[test]
    fn never_panics(text in "\\PC{0,200}|[\\[\\]{}\",:0-9a-z]{0,200}", name in "VOICE_STATE_UPDATE|MESSAGE_CREATE|GUILD_CREATE|GUILD_MEMBER_ADD") {
        let mut reader = GatewayReader::default();
        let _ = reader.read(&text);
        let _ = reader.read(&format!("{{\"op\":0,\"t\":\"{name}\",\"d\":{text}}}"));
        let _ = reader.read(&format!("{{\"op\":0,\"t\":\"{name}\",\"d\":{{{text}}}}}"));
    }

    #[test]
    fn content_leaves_nothing_but_its_length(words in "\\PC{12,60}") {
        let data = json!({
            "id": "1574018730344640606", "channel_id": "40", "guild_id": "10", "author": {"id": "20", "username": words},
            "content": words, "embeds": [{"title": words}], "referenced_message": {"content": words},
        });
        let frame = read(&wrapped("MESSAGE_CREATE", &data));
        let Some(Event::Message(message)) = frame.events.first() else { panic!("{frame:?}") };
        prop_assert_eq!(message.characters as usize, words.chars().count());
        let shown = format!("{frame:?}");
        prop_assert!(!shown.contains(&words), "the words survive");
    }
}

#[test]
fn the_captured_frames_are_read() {
    let Some(folder) = real_inputs::folder() else { return };
    let count = |file: &str| {
        let mut reader = GatewayReader::default();
        let mut counts = [0_usize; 6];
        for line in std::fs::read_to_string(folder.join("discord").join(file)).unwrap().lines() {
            let frame = reader.read(line).unwrap();
            for event in &frame.events {
                let index = match event {
                    Event::VoiceState(_) => 0,
                    Event::Snapshot { .. } => 1,
                    Event::Message(_) => 2,
                    Event::Membership(_) => 3,
                };
                counts[index] += 1;
            }
            counts[4] += frame.problems.len();
            counts[5] += usize::from(frame.evidence.is_some());
        }
        counts
    };
    // Two snapshots of an empty voice list, four and five members; 6 of 41 frames are the client's.
    let wire = count("spacebar_wire_capture.jsonl");
    assert_eq!((wire[0], wire[1], wire[2], wire[4], wire[5]), (9, 2, 6, 0, 35));
    // Bare frames: no voice state, snapshot or leave has a time, and one join names nobody.
    assert_eq!(count("hikari_test_frames_hashfixed.jsonl"), [0, 0, 1, 2, 5, 0]);
}
