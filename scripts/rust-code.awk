# SPDX-License-Identifier: GPL-2.0
#
# Prints Rust files as "file:line:text" with comments gone, string and character literals emptied, and test items
# (#[cfg(test)], kunit_tests) blanked. What is left is the code that runs, which scripts/check-* look at.
# Works with any awk.

function blank_tests(text,    i, c, out) {
	# Takes an attribute that makes the next item a test, then blanks that item: to its ";" or its closing brace.
	if (!skipping && text ~ /#!?\[(cfg\((all\()?test[,)]|kunit_tests|cfg\(kunit|cfg_attr\([^)]*kunit_tests|test\])/) {
		skipping = 1
		depth = 0
		# An attribute of the whole file makes the whole file a test.
		if (text ~ /#!\[/) whole = 1
	}
	if (!skipping) return text
	if (whole) return ""
	sub(/#\[[^]]*\]+/, "", text)
	for (i = 1; i <= length(text); i++) {
		c = substr(text, i, 1)
		if (c == "{") depth++
		else if (c == "}" && --depth == 0) { skipping = 0; return substr(text, i + 1) }
		else if (c == ";" && depth == 0) { skipping = 0; return substr(text, i + 1) }
	}
	return ""
}

FNR == 1 { state = "code"; comment = 0; skipping = 0; whole = 0 }
{
	out = ""
	n = length($0)
	for (i = 1; i <= n; i++) {
		c = substr($0, i, 1)
		two = substr($0, i, 2)
		if (state == "comment") {
			if (two == "*/") { i++; if (--comment == 0) state = "code" }
			else if (two == "/*") { i++; comment++ }
		} else if (state == "string") {
			if (c == "\\") i++
			else if (c == "\"") { state = "code"; out = out "\"" }
		} else if (state == "raw") {
			if (substr($0, i, length(close_raw)) == close_raw) { i += length(close_raw) - 1; state = "code"; out = out "\"" }
		} else if (two == "//") {
			break
		} else if (two == "/*") {
			state = "comment"; comment = 1; i++
		} else if (c == "\"") {
			state = "string"; out = out c
		} else if (c == "r" && substr($0, i) ~ /^r#*"/ && (i == 1 || substr($0, i - 1, 1) !~ /[A-Za-z0-9_]/ || substr($0, i - 1, 1) ~ /[bc]/)) {
			match(substr($0, i), /^r#*"/)
			close_raw = "\"" substr("################", 1, RLENGTH - 2)
			i += RLENGTH - 1; state = "raw"; out = out "\""
		} else if (c == "'" && substr($0, i + 1, 1) == "\\") {
			# An escaped character: up to the next quote that is not the escaped one.
			i += 3
			while (i <= n && substr($0, i, 1) != "'") i++
			out = out "' '"
		} else if (c == "'" && substr($0, i + 2, 1) == "'") {
			i += 2; out = out "' '"
		} else {
			out = out c
		}
	}
	out = blank_tests(out)
	if (out ~ /[^ \t]/) print FILENAME ":" FNR ":" out
}
