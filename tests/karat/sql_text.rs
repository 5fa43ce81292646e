//! SQL as text.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use karat::core::sql_text::{
    TokenKind, leading_keyword, normalize, parameters, statement_count, substitute_parameters, tokens,
};
use karat::store::migrate::Migrations;
use karat::testing::TestDatabase;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sqlx::{AssertSqlSafe, Column, Connection, Executor, PgConnection, SqlSafeStr, Statement, TypeInfo};

/// The tokens' texts, separated by ` ¦ `.
fn split(sql: &str) -> String {
    tokens(sql).iter().map(|token| token.text).collect::<Vec<_>>().join(" ¦ ")
}

fn kinds(sql: &str) -> Vec<TokenKind> {
    tokens(sql).iter().map(|token| token.kind).collect()
}

#[test]
fn tokens_end_where_postgresql_ends_them() {
    let cases = [
        ("a.b", "a ¦ . ¦ b"),
        ("a -- x\n b", "a ¦ b"),
        ("a--x\rb", "a ¦ b"),
        ("a/* b /* c */ d */e", "a ¦ e"),
        ("a/*/**/*/b", "a ¦ b"),
        ("/***/a/* * / **/b", "a ¦ b"),
        ("x::date", "x ¦ :: ¦ date"),
        ("a[1:2]", "a ¦ [ ¦ 1 ¦ : ¦ 2 ¦ ]"),
        ("f(x:=1,y=>2)", "f ¦ ( ¦ x ¦ := ¦ 1 ¦ , ¦ y ¦ => ¦ 2 ¦ )"),
        ("a<=b", "a ¦ <= ¦ b"),
        ("a< =b", "a ¦ < ¦ = ¦ b"),
        ("a->>'x'", "a ¦ ->> ¦ 'x'"),
        ("a-> >'x'", "a ¦ -> ¦ > ¦ 'x'"),
        ("a*-1", "a ¦ * ¦ - ¦ 1"),
        ("a=-1", "a ¦ = ¦ - ¦ 1"),
        ("a@-1", "a ¦ @- ¦ 1"),
        ("a<->b", "a ¦ <-> ¦ b"),
        ("a*+-b", "a ¦ * ¦ + ¦ - ¦ b"),
        ("- -1", "- ¦ - ¦ 1"),
        ("1--2", "1"),
        ("a+/*x*/b", "a ¦ + ¦ b"),
        ("a#>--c\n'{}'", "a ¦ #> ¦ '{}'"),
        ("a */*x*/ b", "a ¦ * ¦ b"),
        ("1e5 1.5E-3 .5 1. 1_000", "1e5 ¦ 1.5E-3 ¦ .5 ¦ 1. ¦ 1_000"),
        ("1..10", "1 ¦ .. ¦ 10"),
        ("0xFF 0o17 0b101 0x_f", "0xFF ¦ 0o17 ¦ 0b101 ¦ 0x_f"),
        ("1.e5 1.5.3", "1.e5 ¦ 1.5 ¦ .3"),
        ("a.5", "a ¦ .5"),
        ("1+2", "1 ¦ + ¦ 2"),
        ("'it''s' ''", "'it''s' ¦ ''"),
        ("'a''' b", "'a''' ¦ b"),
        (r"'a\' b", r"'a\' ¦ b"),
        (r"E'a\' b' c", r"E'a\' b' ¦ c"),
        (r"e'\\' c", r"e'\\' ¦ c"),
        (r"e'a''\'' c", r"e'a''\'' ¦ c"),
        (r"te'a'", r"te ¦ 'a'"),
        ("B'01' x'1F' n'ä' U&'\\0061' uescape '!'", "B'01' ¦ x'1F' ¦ n'ä' ¦ U&'\\0061' ¦ uescape ¦ '!'"),
        (r#"U&"d\0061ta" "a""b" "a.b""#, r#"U&"d\0061ta" ¦ "a""b" ¦ "a.b""#),
        ("u & 'a' u&1", "u ¦ & ¦ 'a' ¦ u ¦ & ¦ 1"),
        ("$$a$1'b$$ $1", "$$a$1'b$$ ¦ $1"),
        ("$a$ $b$ $$ $a$ x", "$a$ $b$ $$ $a$ ¦ x"),
        ("$a$ $b$a$ x", "$a$ $b$a$ ¦ x"),
        ("$Ä1$x$Ä1$", "$Ä1$x$Ä1$"),
        ("a$1 b$$c", "a$1 ¦ b$$c"),
        ("a=$1and", "a ¦ = ¦ $1and"),
        ("($1)::date,$12", "( ¦ $1 ¦ ) ¦ :: ¦ date ¦ , ¦ $12"),
        ("größe+日本", "größe ¦ + ¦ 日本"),
        ("a;b", "a ¦ ; ¦ b"),
        ("a\u{b}\u{c}\tb", "a ¦ b"),
        ("", ""),
        (" -- nothing", ""),
    ];
    for (sql, expected) in cases {
        assert_eq!(split(sql), expected, "{sql}");
    }
}

#[test]
fn what_postgresql_refuses_is_malformed_and_never_lost() {
    for sql in ["'a", "e'a\\'", "\"a", "$x$ a $y$", "u&'a", "/* /* */ a", "e'\\", "x'"] {
        let scanned = tokens(sql);
        assert_eq!(scanned.len(), 1, "{sql}: {scanned:?}");
        assert_eq!((scanned[0].kind, scanned[0].text), (TokenKind::Malformed, sql));
    }
    for sql in ["1abc", "$1abc", "1_", "0x", "0b2", "1e", "1.5e+", "$1_0", "0xfg", "$", "\\", "{", "\u{1}"] {
        assert_eq!(kinds(sql).first(), Some(&TokenKind::Malformed), "{sql}");
    }
    assert_ne!(normalize("select 1 /* then"), normalize("select 1"));
    assert_ne!(normalize("select 1 /* then"), normalize("select 1 /* now"));
}

#[test]
fn strings_across_lines_are_one_string_and_others_are_not() {
    use TokenKind::{String, StringContinuation};
    assert_eq!(kinds("'a'\n'b'"), [String, StringContinuation]);
    assert_eq!(kinds("'a' -- why\n  'b' \n\n 'c'"), [String, StringContinuation, StringContinuation]);
    assert_eq!(kinds("'a' 'b'"), [String, String]);
    assert_eq!(kinds("'a' /* \n */ \n 'b'"), [String, String]);
    assert_eq!(kinds("$$a$$\n'b'"), [String, String]);
    assert_eq!(kinds("'a'\ne'b'"), [String, String]);
    assert_eq!(split("e'a\\''\n'b\\' c' d"), "e'a\\'' ¦ 'b\\' c' ¦ d", "the escapes go on");
    assert_eq!(split("'a'\n'b\\' c"), "'a' ¦ 'b\\' ¦ c");
    assert_eq!(normalize("SELECT 'a' -- why\n  'b'"), "select 'a'\n'b'");
    assert_ne!(normalize("'a'\n'b'"), normalize("'a' 'b'"));
}

#[test]
fn comments_white_space_case_and_last_semicolons_do_not_count() {
    let plain = normalize("select count(*), \"Day\" from a.b where x >= $1 and y = 'It''s' -- end");
    assert_eq!(plain, "select count ( * ) , \"Day\" from a . b where x >= $1 and y = 'It''s'");
    for same in [
        "SELECT COUNT( * )\n\t,\"Day\"/* the /* local */ day */FROM A.b\nWHERE x>=$1 AND y='It''s';",
        "-- heading\nSelect count(*), \"Day\" from a . B where x >= $1 and y = 'It''s' ; ; -- end\n",
    ] {
        assert_eq!(normalize(same), plain);
    }
    assert_eq!(normalize("select 1E5, X'1f', E'\\n', U&'\\00E4', U&\"A\", 0XFF"), {
        "select 1e5 , x'1f' , e'\\n' , u&'\\00E4' , u&\"A\" , 0xff"
    });
    assert_eq!(normalize("GRÖSSE"), "grÖsse", "PostgreSQL folds only ASCII in UTF-8 databases");
    assert_eq!(normalize(""), "");
    assert_eq!(normalize(";;"), "");
}

#[test]
fn everything_else_counts() {
    let base = "select a->>'k', $$x y$$, \"A b\" from t where a < b and c = e'\\'' and d = 1";
    for other in [
        base.replace("'k'", "'K'"),
        base.replace("'k'", "' k'"),
        base.replace("x y", "x  y"),
        base.replace("x y", "x--y"),
        base.replace("$$x y$$", "$q$x y$q$"),
        base.replace("A b", "a b"),
        base.replace("->>", "-> >"),
        base.replace("a < b", "a <= b"),
        base.replace("a < b", "a < = b"),
        base.replace("e'\\''", "'\\'''"),
        base.replace("d = 1", "d = 1.0"),
        base.replace("d = 1", "d = 1; select 2"),
        base.replace("from t", "from t.u"),
        base.replace("from t", "from \"t\""),
    ] {
        assert_ne!(other, base);
        assert_ne!(normalize(&other), normalize(base), "{other}");
    }
}

#[test]
fn parameters_are_found_only_where_they_are_parameters() {
    let sql = "select $1, '$2', \"$3\", $$ $4 $$, $t$ $5 $t$, a$6, e'\\'$7' -- $8\n /* $9 */ , $10::date, $1, $x$1$x$";
    assert_eq!(parameters(sql), BTreeSet::from([1, 10]));
    assert_eq!(parameters("$0 $99999999999 $007"), BTreeSet::from([0, 7, u32::MAX]));
    assert_eq!(parameters("$1$2"), BTreeSet::from([1, 2]));
    assert_eq!(parameters("select 1"), BTreeSet::new());
}

#[test]
fn parameters_are_replaced_and_nothing_else_changes() {
    let sql = "select '$1' /* $1 */, a-$1, $2::date, $12 from t -- $2\n";
    let replaced = substitute_parameters(sql, |number| format!("-{number}"));
    assert_eq!(replaced, "select '$1' /* $1 */, a-(-1), (-2)::date, (-12) from t -- $2\n");
    assert_eq!(substitute_parameters("größe", |_| unreachable!()), "größe");
}

#[test]
fn statements_are_counted_and_the_first_word_found() {
    assert_eq!(statement_count(""), 0);
    assert_eq!(statement_count(" ; -- nothing\n;"), 0);
    assert_eq!(statement_count("select ';' /* ; */ -- ;\n"), 1);
    assert_eq!(statement_count("select 1;"), 1);
    assert_eq!(statement_count("select 1; ; select $$;$$;"), 2);
    assert_eq!(leading_keyword("-- x\n (( SELECT 1)"), Some("select".to_owned()));
    assert_eq!(leading_keyword("With a as (select 1) select * from a"), Some("with".to_owned()));
    assert_eq!(leading_keyword("\"select\""), None);
    assert_eq!(leading_keyword("'select'"), None);
    assert_eq!(leading_keyword("(("), None);
}

/// Texts of this shape. (A pattern that is itself the strategy would be compiled again for each text.)
fn regex(pattern: &'static str) -> impl Strategy<Value = String> {
    prop::string::string_regex(pattern).unwrap()
}

/// Tokens of every kind, valid by themselves and side by side when something stands between them.
fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => regex("[a-zA-Z_ä][a-zA-Z0-9_$]{0,6}"),
        2 => regex(r"'([a-z ;$*/-]|''|\\|--|ß){0,6}'"),
        1 => regex(r"[eE]'([a-z ;$*/-]|''|\\'|\\\\|--){0,6}'"),
        1 => regex(r"([bBxXnN]|[uU]&)'([01 ]|''){0,6}'"),
        1 => regex("\"([a-zA-Z $;]|\"\"|--|/\\*){1,6}\""),
        1 => regex(r"\$\$([a-zA-Z0-9 ';]|--|/\*){0,8}\$\$"),
        1 => regex(r"\$t1\$([a-zA-Z0-9 ';]|--|/\*|\$\$){0,8}\$t1\$"),
        2 => regex("[0-9]{1,3}|[0-9]_[0-9]|[0-9]\\.[0-9]|[0-9][eE][+-]?[0-9]|\\.[0-9]|0[xX][0-9a-fA-F]{1,2}"),
        2 => regex("\\$[1-9][0-9]?"),
        3 => regex("[=<>*/+-]|<=|>=|<>|->>|->|#>>|@>|\\|\\||!~\\*|::|:=|=>|\\.\\."),
        3 => regex("[(),.;:]|\\[|\\]"),
    ]
}

/// What may stand between two tokens without being one; the first alternative is nothing at all.
fn gap() -> impl Strategy<Value = String> {
    prop_oneof![
        regex("[ \t\n\r]{1,3}"),
        regex(" --[a-z '$*/;\"]{0,6}\n"),
        regex(" /\\*([a-z '$;\"-]|\n|/\\* x \\*/){0,5}\\*/ "),
    ]
}

/// Texts of the characters that matter most, mostly not valid.
fn scraps() -> impl Strategy<Value = String> {
    regex(r#"([a-eE1 .'"$\\;*/+<>=\n-]|--|/\*|\*/|\$\$|U&|ä){0,40}"#)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, max_global_rejects: 65_536, ..ProptestConfig::default() })]

    #[test]
    fn normal_forms_are_fixed_points(sql in prop_oneof![
        scraps(),
        prop::collection::vec(prop_oneof![token(), gap()], 0..20).prop_map(|parts| parts.concat()),
    ]) {
        let normal = normalize(&sql);
        prop_assert_eq!(&normalize(&normal), &normal);
        prop_assert_eq!(parameters(&normal), parameters(&sql));
        prop_assert_eq!(statement_count(&normal), statement_count(&sql));
    }

    #[test]
    fn tokens_and_gaps_make_up_the_text(sql in scraps()) {
        let mut end = 0;
        for token in tokens(&sql) {
            prop_assert!(!token.text.is_empty());
            prop_assert!(token.start >= end);
            prop_assert_eq!(&sql[token.start..token.end()], token.text);
            prop_assert_eq!(split(&sql[end..token.start]), "", "a gap holds no token");
            end = token.end();
        }
        prop_assert_eq!(split(&sql[end..]), "");
    }

    #[test]
    fn gaps_between_tokens_never_count(parts in prop::collection::vec((token(), gap(), gap()), 1..20)) {
        let one: String = parts.iter().map(|(token, gap, _)| format!(" {token}{gap} ")).collect();
        let other: String = parts.iter().map(|(token, _, gap)| format!("{gap}{token} ")).collect();
        // Between two strings a line break has a meaning.
        prop_assume!(!parts.windows(2).any(|pair| pair[0].0.ends_with('\'') && pair[1].0.starts_with('\'')));
        prop_assert_eq!(normalize(&one), normalize(&other));
        prop_assert_eq!(tokens(&one).len(), parts.len(), "each is one token: {}", split(&one));
    }

    #[test]
    fn a_gap_put_between_any_two_tokens_does_not_count(
        sql in prop::collection::vec(prop_oneof![3 => token(), 1 => gap()], 1..20).prop_map(|parts| parts.concat()),
        gap in gap(),
        place in any::<prop::sample::Index>(),
    ) {
        let scanned = tokens(&sql);
        prop_assume!(!scanned.is_empty() && !kinds(&sql).contains(&TokenKind::Malformed));
        let place = scanned[place.index(scanned.len())].start;
        let changed = format!("{}{gap}{}", &sql[..place], &sql[place..]);
        prop_assume!(kinds(&changed) == kinds(&sql) || !kinds(&changed).contains(&TokenKind::StringContinuation) && !kinds(&sql).contains(&TokenKind::StringContinuation));
        prop_assert_eq!(normalize(&changed), normalize(&sql));
    }

    #[test]
    fn every_character_of_a_string_counts(
        parts in prop::collection::vec(token(), 1..12),
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
    ) {
        let sql = parts.join(" ");
        let scanned = tokens(&sql);
        let strings: Vec<_> = scanned
            .iter()
            .filter(|token| token.kind == TokenKind::String && token.text.ends_with('\''))
            .collect();
        prop_assume!(!strings.is_empty());
        let string = strings[which.index(strings.len())];
        let open = string.start + string.text.find('\'').unwrap() + 1;
        // Insert a letter at any place inside that splits no escape sequence.
        let places: Vec<usize> = (open..string.end()).filter(|&place| sql.is_char_boundary(place)).filter(|&place| {
            !sql[open..place].ends_with(['\\', '\'']) && (place == open || !sql[..place].ends_with('\''))
        }).collect();
        let place = places[at.index(places.len())];
        let changed = format!("{}q{}", &sql[..place], &sql[place..]);
        prop_assert_ne!(normalize(&changed), normalize(&sql));
    }

    #[test]
    fn substituting_each_parameter_by_itself_keeps_the_parameters(parts in prop::collection::vec(token(), 0..20)) {
        let sql = parts.join(" ");
        let same = substitute_parameters(&sql, |number| format!("${number}"));
        prop_assert_eq!(parameters(&same), parameters(&sql));
        prop_assert_eq!(normalize(&same.replace(['(', ')'], " ")), normalize(&sql.replace(['(', ')'], " ")));
    }
}

/// What PostgreSQL makes of a statement: the columns it would return, or its complaint. Letters count only as far as
/// they do in names, which PostgreSQL has folded by then.
async fn verdict(connection: &mut PgConnection, sql: &str) -> String {
    match connection.prepare(AssertSqlSafe(sql.to_owned()).into_sql_str()).await {
        Ok(statement) => {
            let columns = statement.columns().iter();
            columns
                .map(|column| format!("{} {}", column.name(), column.type_info().name()))
                .collect::<Vec<_>>()
                .join(", ")
        }
        Err(sqlx::Error::Database(error)) => {
            let message = error.message().replace("at or near \";\"", "at end of input");
            // The offending token is quoted as it is written.
            let (message, token) = message.split_once(" at or near \"").unwrap_or((&message, ""));
            format!("{:?} {message} {}", error.code(), normalize(token)).to_lowercase()
        }
        Err(error) => panic!("{sql}: {error}"),
    }
}

/// Statements of which a good part is valid, so that PostgreSQL says more of them than where the first error is.
fn statement() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        12 => regex("[1-9]|\\$1|-[1-9]|\\.5|1e2|1\\."),
        6 => regex("'[1-9]'|[eE]'[1-9]'|[nN]'[1-9]'|'1'\n'2'|'1' --x\n'2'|U&'1'|\\$\\$2\\$\\$|\\$t\\$3\\$t\\$"),
        3 => regex("'[1-9]'::int|\"i\"|t\\.i|T \\. \"i\"|I|\"I\"|array\\[1\\]|/\\* ' \\*/ 1|\\(1\\)"),
        1 => token(),
    ];
    let operator = prop_oneof![
        12 => regex("[+*/-]|,| , |- |--;\n\\+|\\+/\\*\\*/|\\*-"),
        3 => regex("<=|=|<>|!=| <|\\|\\|| as x,|::text,|::Numeric \\+| between | and | in |@-|< =|->>|- - |--"),
        1 => gap(),
    ];
    let part = (value, prop_oneof![Just(String::new()), gap()], operator)
        .prop_map(|(value, gap, operator)| value + &gap + &operator);
    (
        prop::collection::vec(part, 0..4),
        regex("[1-9] |'a' |x|\\$1::Text|1 /\\* "),
        prop_oneof![3 => regex(" from \\(select 1 as i\\) t;? ?"), 1 => regex("[ -~ä]{0,5}")],
    )
        .prop_map(|(parts, last, end)| format!("SELECT {}{last}{end}", parts.concat()))
}

#[test]
fn normal_forms_mean_the_same_to_postgresql() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = runtime.block_on(TestDatabase::create(&Migrations::karat())).unwrap();
    let options = database.connect_options().statement_cache_capacity(0);
    let connection = RefCell::new(runtime.block_on(PgConnection::connect_with(&options)).unwrap());
    let understood = Cell::new(0);
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() });
    let result = runner.run(&statement(), |sql| {
        let connection = &mut *connection.borrow_mut();
        let plain = runtime.block_on(verdict(connection, &sql));
        let normal = runtime.block_on(verdict(connection, &normalize(&sql)));
        understood.set(understood.get() + usize::from(!plain.starts_with("some(")));
        prop_assert_eq!(plain, normal, "{} is not {}", sql, normalize(&sql));
        Ok(())
    });
    result.unwrap();
    // Otherwise nothing but the places of syntax errors has been compared.
    assert!(understood.get() > 60, "only {} statements were valid", understood.get());
}
