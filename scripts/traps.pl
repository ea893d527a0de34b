# SPDX-License-Identifier: GPL-2.0
#
# Reads the files named on standard input and prints "TRAP<tab>TEST<tab>FILE:LINE" for every trap that a test names. Two forms count:
#
#     case("name", "T24, T27", body)     a case of the guest; its suite is the last 'name: "..."' above it
#     covers: T24, T27 (remark)          in a comment: of the next function below it or on its line; in a comment of the whole file
#                                        (//!) or of a script: of that file
#
# A "covers:" outside of tests is an error, since it is the test that settles something and not the code: tests are everything
# below tests/, src/*/fuzz, files and folders of that name in src, what follows the first #[cfg(test)] or KUnit mark of a file, scripts, and the
# compile-time assertions of layouts.
# An error is a line "error<tab>TEXT".

use strict;
use warnings;

my @asserts = qw(src/user/qda-uapi/src/layout.rs);

sub error { print "error\t", join(" ", @_), "\n" }

# traps TEXT: numbers at the head of TEXT, comma-separated.
sub traps {
    my ($text, $place) = @_;
    my @found;
    while ($text =~ s/^\s*T(\d+)\b//) {
        my $n = $1;
        if ($n < 1 || $n > 188 || $n =~ /^0/) { error("$place: there is no trap T$n") }
        else { push @found, $n }
        last unless $text =~ s/^\s*(?:\([^)]*\))?\s*,//;
    }
    return @found;
}

while (my $file = <STDIN>) {
    chomp $file;
    open(my $in, "<", $file) or do { error("$file: $!"); next };
    my @lines = <$in>;
    close $in;
    my $test = $file =~ m{^tests/|^scripts/|/tests?/|/tests\.rs$|^src/[^/]+/fuzz/} || grep { $_ eq $file } @asserts;
    my ($suite, $case) = ("?", 0);
    (my $stem = $file) =~ s{\.rs$}{};
    for my $i (0 .. $#lines) {
        my $line = $lines[$i];
        my $place = "$file:" . ($i + 1);
        $test = 1 if $line =~ /#!?\[.*(?:cfg\((?:all\(|any\()?test\b|kunit)/;
        if ($file =~ m{^tests/guest/src/}) {
            $suite = $1 if $line =~ /^\s*name: "([^"]+)"/;
            if ($line =~ /(?<![\w.])case\(\s*(.*)/ && $line !~ /\bfn case\(/) {
                my $text = join("", @lines[$i .. ($i + 5 > $#lines ? $#lines : $i + 5)]);
                if ($text =~ /(?<![\w.])case\(\s*"([^"]+)",\s*"([^"]*)"/) {
                    my ($name, $covers) = ($1, $2);
                    print "$_\tguest $suite.$name\t$place\n" for traps($covers, $place);
                }
            }
        }
        if ($line =~ m{^\s*(//[/!]?|#|\*|/\*)?(.*?)\bcovers:\s*(T\d.*)}s && defined $1) {
            my ($mark, $list) = ($1, $3);
            if (!$test) { error("$place: covers: in what is not a test"); next }
            # A list that ends with a comma goes on in the next line.
            for (my $j = $i + 1; $list =~ /,\s*$/ && $j <= $#lines && $lines[$j] =~ m{^\s*(?://[/!]?|#|\*)\s*(T\d.*)}s; $j++) { $list .= " $1" }
            my $name = $stem;
            if ($mark eq "//" || $mark eq "///") {
                for my $j ($i .. ($i + 30 > $#lines ? $#lines : $i + 30)) {
                    if ($lines[$j] =~ /\bfn\s+(\w+)/) { $name = "$stem $1"; last }
                }
            }
            my @found = traps($list, $place);
            error("$place: covers: names no trap") unless @found;
            print "$_\t$name\t$place\n" for @found;
        }
    }
}
