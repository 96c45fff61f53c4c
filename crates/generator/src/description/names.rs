//! Which words may become files, tables, columns and routes in every language a template is written in.

/// The longest name of an entity or field; PostgreSQL cuts identifiers at 63 bytes, and indexes add to them.
const BYTES_MAX: usize = 40;

/// Keywords of Rust, Python and SQL, and built-in names that a generated file would hide.
const RESERVED: &[&str] = &[
    "abstract",
    "all",
    "alter",
    "and",
    "any",
    "as",
    "asc",
    "assert",
    "async",
    "await",
    "become",
    "between",
    "bool",
    "box",
    "break",
    "by",
    "bytes",
    "case",
    "check",
    "class",
    "column",
    "const",
    "constraint",
    "continue",
    "crate",
    "create",
    "cross",
    "current",
    "def",
    "default",
    "del",
    "delete",
    "desc",
    "dict",
    "distinct",
    "do",
    "drop",
    "dyn",
    "elif",
    "else",
    "end",
    "enum",
    "except",
    "exists",
    "extern",
    "false",
    "final",
    "finally",
    "float",
    "fn",
    "for",
    "foreign",
    "from",
    "full",
    "gen",
    "global",
    "grant",
    "group",
    "having",
    "if",
    "impl",
    "import",
    "in",
    "index",
    "inner",
    "insert",
    "int",
    "into",
    "is",
    "join",
    "key",
    "lambda",
    "left",
    "let",
    "like",
    "limit",
    "list",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "natural",
    "none",
    "nonlocal",
    "not",
    "null",
    "object",
    "offset",
    "on",
    "option",
    "or",
    "order",
    "outer",
    "override",
    "pass",
    "primary",
    "priv",
    "property",
    "pub",
    "raise",
    "ref",
    "references",
    "result",
    "return",
    "returning",
    "right",
    "row",
    "rows",
    "select",
    "self",
    "set",
    "some",
    "static",
    "str",
    "string",
    "struct",
    "super",
    "table",
    "then",
    "to",
    "trait",
    "true",
    "try",
    "tuple",
    "type",
    "typeof",
    "union",
    "unique",
    "unsafe",
    "unsized",
    "update",
    "use",
    "using",
    "values",
    "vec",
    "virtual",
    "when",
    "where",
    "while",
    "with",
    "yield",
];

/// What the generated app already has.
const TAKEN: &[&str] = &[
    "app",
    "error",
    "guard",
    "lib",
    "main",
    "support",
    "token",
    "account",
    "auth",
    "backend",
    "billing",
    "config",
    "core",
    "database",
    "file",
    "gate",
    "health",
    "invitation",
    "job",
    "logging",
    "mail",
    "membership",
    "metric",
    "migration",
    "model",
    "organization",
    "plan",
    "security",
    "service",
    "session",
    "state",
    "tenancy",
    "tenant",
    "test",
    "user",
    "version",
    "webhook",
    "webhook_event",
    // Types that the files of an entity use, and would hide.
    "any_pool",
    "any_row",
    "base",
    "err",
    "foreign_key",
    "input",
    "mapped",
    "ok",
    "outcome",
    "tenant_row",
    "text",
];

/// Columns every entity has, and names that models and forms have for themselves.
const COLUMNS: &[&str] = &[
    "id",
    "tenant_id",
    "created_at",
    "updated_at",
    "metadata",
    "query",
    "registry",
    "construct",
    "copy",
    "datetime",
    "json",
    "mapped_column",
    "model_computed_fields",
    "model_config",
    "model_construct",
    "model_copy",
    "model_dump",
    "model_dump_json",
    "model_extra",
    "model_fields",
    "model_fields_set",
    "model_json_schema",
    "model_parametrized_name",
    "model_post_init",
    "model_rebuild",
    "model_validate",
    "model_validate_json",
    "model_validate_strings",
    "parse_file",
    "parse_obj",
    "parse_raw",
    "schema",
    "schema_json",
    "update_forward_refs",
    "validate",
];

type Fault = (String, String);

/// A lower-case word that is safe as an identifier in every template's language.
pub(super) fn word(name: &str) -> Result<(), Fault> {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let rest = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if name.contains(['/', '\\', '.']) {
        return Err((format!("{name:?} looks like a path"), "Use a plain word: a-z, 0-9 and _".into()));
    }
    if !first || !rest || name.ends_with('_') || name.contains("__") || name.len() > BYTES_MAX {
        let fix = format!("Use up to {BYTES_MAX} of a-z, 0-9 and single _, beginning with a letter");
        return Err((format!("{name:?} is not a name"), fix));
    }
    if RESERVED.contains(&name) {
        return Err((
            format!("{name:?} is a reserved word of Rust, Python or SQL"),
            format!("Use another word, such as {name}_item"),
        ));
    }
    Ok(())
}

/// An entity's name.
pub(super) fn entity(name: &str) -> Result<(), Fault> {
    word(name)?;
    if TAKEN.contains(&name) || TAKEN.iter().any(|taken| plural(taken) == name || plural(name) == plural(taken)) {
        return Err((format!("every generated app already has {name:?}"), "Use a word of your own domain".into()));
    }
    Ok(())
}

/// A field's name.
pub(super) fn field(name: &str) -> Result<(), Fault> {
    word(name)?;
    if COLUMNS.contains(&name) {
        return Err((format!("every entity already has {name:?}"), "Leave the field out, or rename it".into()));
    }
    Ok(())
}

/// A project's name.
pub(super) fn project(name: &str) -> Result<(), String> {
    let letters = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte));
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if !letters || !first || name.len() > BYTES_MAX || name.ends_with(['-', '_']) {
        return Err(format!(
            "{name:?} cannot be a project's name: use up to {BYTES_MAX} of a-z, 0-9, - and _, beginning with a letter"
        ));
    }
    if RESERVED.contains(&name) || matches!(name, "con" | "nul" | "aux" | "prn" | "test" | "core" | "std" | "alloc") {
        return Err(format!("{name:?} is a reserved word: use another name, such as {name}-app"));
    }
    Ok(())
}

/// The plural, for tables and routes.
pub(super) fn plural(name: &str) -> String {
    let vowel = |stem: &str| stem.ends_with(['a', 'e', 'i', 'o', 'u']);
    if let Some(stem) = name.strip_suffix('y')
        && !vowel(stem)
    {
        return format!("{stem}ies");
    }
    if ["s", "x", "z", "ch", "sh"].iter().any(|ending| name.ends_with(ending)) {
        return format!("{name}es");
    }
    format!("{name}s")
}
