#!/usr/bin/perl
# A web server on a fixed port, as an application may be: what is posted is a record in tanist, and a GET shows all records.
use strict;
use warnings;
use IO::Socket::INET;

my $server = IO::Socket::INET->new(LocalPort => 8000, Listen => 16, ReuseAddr => 1) or die "port 8000: $@\n";
while (my $client = $server->accept) {
    my $head = '';
    while (defined(my $line = <$client>)) {
        last if $line eq "\r\n";
        $head .= $line;
    }
    my $length = $head =~ /^content-length: (\d+)/im ? $1 : 0;
    read $client, my $body, $length;
    my @ask = $head =~ /^POST / ? ('add', 'visits', $body) : ('records', 'visits', '--json');
    open my $tanist, '-|', 'tanist', @ask or die "tanist: $!\n";
    my $answer = do { local $/; <$tanist> } // '';
    my $status = close($tanist) ? '200 OK' : '503 Service Unavailable';
    print $client "HTTP/1.1 $status\r\nConnection: close\r\nContent-Length: " . length($answer) . "\r\n\r\n$answer";
    close $client;
}
