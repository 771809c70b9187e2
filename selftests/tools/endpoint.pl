# SPDX-License-Identifier: MIT
#
# endpoint.pl PATH DIRECTORY [WHOLE]: see pretend() in live.sh.
use strict;
use warnings;
use IO::Socket::UNIX;

my ($path, $directory, $whole) = @ARGV;
my $server = IO::Socket::UNIX->new(Local => "$path.new", Listen => 5) or die "$path: $!";
rename("$path.new", $path) or die "$path: $!";
$SIG{PIPE} = "IGNORE";

sub contents
{
	my ($name) = @_;

	open(my $file, "<:raw", "$directory/$name") or return;
	local $/;
	return <$file> // "";
}

for (my $answered = 0; my $client = $server->accept; $answered++) {
	my ($name) = split(" ", <$client> // "");
	my $answer = contents("raw");

	if (!defined($answer)) {
		my $text = contents($name // "none") // "";
		$answer = "gcarena 1 ok " . length($text) . "\n$text";
	}
	if (length($whole // "") && $answered >= $whole) {
		syswrite($client, substr($answer, 0, length($answer) / 2));
		kill("KILL", $$);
	}
	print $client $answer;
	close($client);
}
