"""The porch: how clients and nodes that do not know each other's address meet.

A client *asks* by UDP, at the port on which nodes listen: on the broadcast address of each of its interfaces, and on loopback. A node
*answers* whoever asked, and *announces* itself by broadcast when it starts and when it becomes free, at the port below its own.
A datagram says: dispytw, a token, and of a node its uid, its TCP port and its name. It is a hint and no more. The client dials the address
that the datagram came from, and the greeting (`dispytw.wire.greeting`) proves who is there.

What a datagram may do is bounded, since anybody can send one. All have the same length, so that an answer never exceeds its question;
answers are given to neighbours only, so many a second; what is not ours is counted and dropped.

`beacon` is the mind: what is said, what is answered, what is believed. `interfaces` picks from what the machine says of its network.
`udp` holds the sockets: an `Answerer` at the node, an `Asker` at the client.
"""
